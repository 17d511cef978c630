"""XML as it must be to be believed: well-formed to the end, and without a DTD, entities or anything fetched from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon_core.errors import MalformedError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def read_xml(raw: bytes, place: str) -> Element:
    """The root element of the document in ``raw``; ``place`` opens the message.

    Raises MalformedError for what is not well-formed to its last byte, and for a document type or an entity of its own: what a
    statement needs neither of, and an attack does.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    if not raw.strip():
        raise MalformedError(f"{place}: answered with an empty body, which proves nothing")
    try:
        return fromstring(raw, forbid_dtd=True)
    except DefusedXmlException:
        raise MalformedError(f"{place}: the XML has a document type or entities of its own, which are refused") from None
    except ParseError as error:
        raise MalformedError(f"{place}: not whole XML: {error}") from None
    except (ValueError, LookupError, RecursionError) as error:  # an encoding that nobody knows, a tree too deep
        raise MalformedError(f"{place}: not XML that can be read: {error}") from None
