from glob import glob

from setuptools import find_packages, setup

package_name = 'insegan_ros'


def folder(pattern: str) -> list[str]:
    return sorted(glob(pattern))


nodes = ['bin_simulator', 'camera', 'collector', 'segmenter']
models = sorted(path.split('/')[1] for path in glob('models/*/'))

# What nodes and inference need. With ROS 2 rosdep brings it, under names that pip does not know,
# so it is no install_requires.
core = [
    'matplotlib>=3.5',
    'numpy>=1.21',
    'opencv-python-headless>=4.5',
    'PyYAML',
    'scikit-image>=0.18',
    'scikit-learn>=0.23',
    'scipy>=1.8',
    'torch',
    'tqdm',
    'trimesh',
]
simulation = ['embreex', 'manifold3d', 'mujoco', 'trimesh']
recordings = ['rosbags']
extras = {
    'core': core,
    'simulation': simulation,
    'training': [*simulation, 'coacd', 'tensorboard', 'threadpoolctl'],
    'recordings': recordings,
    'step': ['cascadio'],
    'annotations': ['pycocotools'],
    'graph_cut': ['PyMaxflow'],
    'realsense': ['pyrealsense2'],
    'view': ['rerun-sdk'],
    'test': ['pytest', 'pytest-timeout', 'hypothesis', 'psutil'],
}
extras['all'] = sorted({name for names in extras.values() for name in names})

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=['insegan_ros', 'insegan_ros.*']),
    python_requires='>=3.10',
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', folder('launch/*.launch.py')),
        (f'share/{package_name}/config', folder('config/*.yaml') + folder('config/*.xml')),
        (f'share/{package_name}/config', folder('config/*.rviz')),
        *[(f'share/{package_name}/{c}', folder(f'{c}*.yaml')) for c in folder('config/*/')],
        *[(f'share/{package_name}/models/{m}', folder(f'models/{m}/*')) for m in models],
    ],
    install_requires=['setuptools'],
    extras_require=extras,
    zip_safe=False,
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
