"""An InSeGAN whose step takes a moment on a CPU."""

NETWORKS = [
    'model.image_size=16',
    'model.z_dim=8',
    'model.template_channels=8',
    'model.feature_channels=16',
    'model.discriminator_channels=8',
    'model.doublings=1',
    'model.encoder_channels=16',
]
