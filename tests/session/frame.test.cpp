// SPDX-License-Identifier: MIT
// Goal: frames have exactly the bytes that the protocol page specifies, and a damaged frame is
// never accepted. Method: golden bytes, flipped bits and cuts.
#include <belay/session/session_format.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

using namespace belay;
using namespace belay::session_format;
using belay_test::from_hex;
using belay_test::to_hex;

TEST_CASE("append_frame writes the protocol's golden bytes", "[session][frame][golden]") {
    Bytes data;
    append_frame(
        data,
        {.type = FrameType::data, .aux = 0x01020304, .number = 1, .payload = as_bytes("hello")});
    CHECK(to_hex(data) == "56c41f46050000000104000004030201010000000000000068656c6c6f");

    Bytes keyed;
    const Bytes body = from_hex("02006b3168656c6c6f");
    append_frame(keyed, {.type = FrameType::data,
                         .flags = 1,
                         .lane = 1,
                         .aux = 0x01020304,
                         .number = 2,
                         .payload = body});
    CHECK(to_hex(keyed) == "8ede227d090000000104010104030201020000000000000002006b3168656c6c6f");

    Bytes ack;
    const Bytes limits = from_hex("01040000000000000500400000000000");
    append_frame(ack, {.type = FrameType::ack, .number = 1, .payload = limits});
    CHECK(to_hex(ack) ==
          "a6ab18df1000000001050000000000000100000000000000"
          "01040000000000000500400000000000");
}

TEST_CASE("FrameReader returns every frame of a message", "[session][frame][property]") {
    CHECK(
        rc::check("read(append(x)) == x", [](const std::vector<std::vector<std::uint8_t>>& parts) {
            Bytes message;
            for (const auto& part : parts) {
                Bytes payload;
                for (const auto b : part) payload.push_back(static_cast<std::byte>(b));
                append_frame(message, {.type = FrameType::data, .number = 7, .payload = payload});
            }
            FrameReader reader{message, 1 << 20};
            if (parts.empty()) {
                RC_ASSERT(!reader.next().has_value());
                return;
            }
            for (const auto& part : parts) {
                const auto frame = reader.next();
                RC_ASSERT(frame.has_value());
                RC_ASSERT((*frame)->payload.size() == part.size());
            }
            const auto end = reader.next();
            RC_ASSERT(end.has_value());
            RC_ASSERT(*end == nullptr);
        }));
}

TEST_CASE("FrameReader rejects every single flipped bit and every cut", "[session][frame][fault]") {
    Bytes message;
    append_frame(message,
                 {.type = FrameType::data, .aux = 9, .number = 3, .payload = as_bytes("xyz")});
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
        Bytes bad = message;
        bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        FrameReader reader{bad, 1 << 20};
        CHECK(reader.next().error() == SessionErrc::protocol);
    }
    for (std::size_t n = 1; n < message.size(); ++n) {
        FrameReader reader{BytesView{message}.first(n), 1 << 20};
        CHECK(reader.next().error() == SessionErrc::protocol);
    }
}

TEST_CASE("FrameReader rejects frames that are too long, of an unknown type or of another version",
          "[session][frame][unit]") {
    const auto refused = [](std::size_t at, std::uint8_t value, std::size_t limit = 100) {
        Bytes message;
        append_frame(message, {.type = FrameType::ack, .payload = as_bytes("0123456789abcdef")});
        message[at] = static_cast<std::byte>(value);
        store_le<std::uint32_t>(message.data(), part::crc32c(BytesView{message}.subspan(4)));
        FrameReader reader{message, limit};
        const bool bad = reader.next().error() == SessionErrc::protocol;
        return bad && reader.bad_type() == static_cast<std::uint8_t>(message[9]);
    };
    CHECK(refused(8, 2));    // version
    CHECK(refused(9, 0));    // type
    CHECK(refused(9, 13));   // type
    CHECK(refused(10, 1));   // flag that an ACK does not have
    CHECK(refused(11, 16));  // lane
    CHECK(refused(9, 5, 15));
    CHECK_FALSE(refused(9, 5, 16));
}
