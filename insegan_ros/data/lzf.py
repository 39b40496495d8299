"""The LZF compression of PCD files."""

from __future__ import annotations

LITERALS = 32  # control bytes below it count bytes that follow as they are
LONG = 7  # a length in the control byte that another byte continues


def decode_lzf(data: bytes, size: int) -> bytes:
    """What was compressed, of which the size is known.

    Raises:
        ValueError: it is damaged or cut short.
    """
    out, at = bytearray(), 0
    try:
        while at < len(data):
            control = data[at]
            at += 1
            if control < LITERALS:
                out += data[at : at + control + 1]
                at += control + 1
            else:
                length = control >> 5
                if length == LONG:
                    length += data[at]
                    at += 1
                start = len(out) - ((control & 31) << 8) - data[at] - 1
                at += 1
                out += _repeated(out, start, length + 2)
            if len(out) > size:
                raise ValueError(f'it holds more than the {size} bytes that it says')
    except IndexError:
        raise ValueError('its compressed bytes are cut short') from None
    if len(out) != size:
        raise ValueError(f'it holds {len(out)} bytes and says {size}')
    return bytes(out)


def _repeated(out: bytearray, start: int, length: int) -> bytes:
    """Bytes from `start` on, which repeat where they run into what is yet to be written."""
    if start < 0:
        raise ValueError('its compressed bytes are damaged')
    period = out[start : start + length]
    return bytes(period * (length // len(period) + 1))[:length]
