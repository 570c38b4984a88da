"""An image by address, for a provider that wants bytes: what cannot be had is the caller's error, and says nothing more."""

import openai
import pytest

from tests.testkit.shapes import Shape


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/cat.png", "http://169.254.169.254/latest/meta-data/"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_address_inside_is_not_followed_and_not_told(shape: Shape, url: str, stream: bool) -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]
    async with openai.AsyncOpenAI(base_url=shape.api_base, api_key=shape.api_key, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(
                model="google/gemini-2.5-flash",
                messages=[{"role": "user", "content": parts}],  # type: ignore[list-item,misc]
                stream=stream,
                extra_body={"provider": {"only": ["google"]}},
            )

    assert isinstance(raised.value.body, dict)
    error = raised.value.body
    assert error["error_type"] == "image_download_failed"
    assert error["message"] == (
        "messages[0].content[1]: the image could not be downloaded: its address cannot be reached."
    )
    assert "127.0.0.1" not in str(error)
    assert "169.254" not in str(error)
