"""Stage: the part's shape, from a CAD model instead of frames.

<out>/template/          the shape as a template: what poses are searched with
      template/part.ply  the CAD model as it was read: one closed solid, metres, in its own frame
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trimesh

from insegan_ros.data.cad import content_hash, read_cad
from insegan_ros.data.store import DatasetError
from insegan_ros.files import write_atomically
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stages import Figures
from insegan_ros.model.solid import template_of, winding_of
from insegan_ros.model.template import Template

PART = 'part.ply'
CROSSING = 0.002  # share of the solid in which a surface that crosses itself is named
INVERTED = 0.01  # share of it that is inside out, above which what is inside is not known


@dataclass(frozen=True)
class CadSolid:
    """What piles are made of: the CAD model itself, in metres."""

    part: trimesh.Trimesh

    def mesh(self) -> trimesh.Trimesh:
        """A copy of its closed surface."""
        return self.part.copy()

    @staticmethod
    def load(folder: Path) -> CadSolid:
        """Of a run's folder, after the stage has ended."""
        return CadSolid(trimesh.load_mesh(str(folder / 'template' / PART)))


def take_mesh(job: Job) -> Figures:
    """Read, check and repair the CAD model; its size, its origin, and what was repaired.

    Raises:
        DatasetError: it is not one closed solid of a plausible size.
    """
    cad = read_cad(job.mesh, job.config.units)
    winding, notes = winding_of(cad.mesh), list(cad.notes)
    if winding.inverted > INVERTED:
        raise DatasetError(
            f'{job.mesh} crosses itself so that {winding.inverted:.0%} of it is inside out; what '
            'is solid cannot be known: repair it in CAD (unite the bodies), and export it again'
        )
    if winding.crossing > CROSSING:
        notes.append(
            f'its surface crosses itself: {winding.crossing:.1%} of it lies inside twice, which '
            'counts as solid'
        )
    template = template_of(cad.mesh, winding)
    # poses have the template's centre of mass as their origin, and the axes of the CAD model
    corner = winding.low + (winding.number.shape[0] - 1) / 2 * winding.voxel_m
    origin = [round(float(v), 6) for v in corner + template.mesh().center_mass]
    folder = job.out / 'template'
    told = {'mesh': content_hash(job.mesh), 'units': cad.units, 'origin_m': origin}
    Template(template.logits, template.voxel_m, told).save(folder)
    write_atomically(folder / PART, trimesh.exchange.ply.export_ply(cad.mesh))
    size = ' x '.join(f'{side:g}' for side in cad.size_mm)
    print(f'{job.mesh} in {cad.units}: {size} mm')
    for note in notes:
        print(f'{job.mesh}: {note}')
    return {'size_mm': cad.size_mm, **told, 'repairs': notes}


def write_part(job: Job, solid: CadSolid) -> None:
    """The mesh in the frame of the poses that the model gives, beside the model."""
    mesh = solid.mesh()
    mesh.apply_translation([-v for v in job.report.of('mesh')['origin_m']])
    write_atomically(job.model / PART, trimesh.exchange.ply.export_ply(mesh))
