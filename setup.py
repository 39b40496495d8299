from glob import glob

from setuptools import find_packages, setup

package_name = 'insegan_ros'


def folder(pattern: str) -> list[str]:
    return sorted(glob(pattern))


candidates = ['bin_simulator', 'camera', 'collector', 'segmenter']
nodes = [name for name in candidates if glob(f'{package_name}/nodes/{name}.py')]
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
            *[f'{n} = insegan_ros.nodes.{n}:main' for n in nodes],
        ],
    },
)
