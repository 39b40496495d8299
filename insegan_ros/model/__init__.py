"""InSeGAN networks: pose decoder, template, renderer, discriminator, encoder."""
