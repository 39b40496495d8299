from glob import glob

from setuptools import find_packages, setup

package_name = 'insegan_ros'


def folder(pattern: str) -> list[str]:
    return sorted(glob(pattern))


models = sorted(path.split('/')[1] for path in glob('models/*/'))

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=['insegan_ros', 'insegan_ros.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', folder('launch/*.launch.py')),
        (f'share/{package_name}/config', folder('config/*.yaml') + folder('config/*.xml')),
        (f'share/{package_name}/config/train', folder('config/train/*.yaml')),
        *[(f'share/{package_name}/models/{m}', folder(f'models/{m}/*')) for m in models],
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='insegan_ros maintainers',
    maintainer_email='maintainers@insegan-ros.example',
    description='Unsupervised instance segmentation of identical parts in depth images',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'insegan = insegan_ros.cli:main',
            'segmenter = insegan_ros.nodes.segmenter:main',
            'camera = insegan_ros.nodes.camera:main',
            'bin_simulator = insegan_ros.nodes.bin_simulator:main',
            'collector = insegan_ros.nodes.collector:main',
        ],
    },
)
