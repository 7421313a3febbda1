// SPDX-License-Identifier: MIT
// Goal: HELLO, WELCOME, START, ACK and ERROR have exactly the bytes that the protocol page
// specifies, and other bytes are rejected. Method: golden bytes, with each field changed.
#include <belay/session/session_format.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/session/raw_peer.hpp"

using namespace belay;
using namespace belay::session_format;
using belay_test::from_hex;
using belay_test::only_frame;
using belay_test::to_hex;

namespace {

/// Sixteen bytes, counting up.
Id counting(unsigned first) {
    Id id{};
    for (unsigned i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(first + i);
    return id;
}

constexpr std::uint64_t golden_attach = (std::uint64_t{7} << 32U) + 3;

Hello some_hello() {
    return {.attach = golden_attach,
            .payload_bytes_max = 1U << 20U,
            .sender = counting(0x10),
            .journal = counting(0),
            .pinned_store = counting(0x20),
            .base = 5,
            .last = 9,
            .check = 0x1122334455667788,
            .token = as_bytes("secret")};
}
Welcome some_welcome() {
    return {.attach = golden_attach,
            .payload_bytes_max = 1U << 20U,
            .known = true,
            .store = counting(0x20),
            .byte_limit = 4U << 20U,
            .applied = 6,
            .check = 0x1122334455667788,
            .number_limit = 1030};
}

// These bytes were computed by a short program in another language, which shares no code with this
// one. It follows sections 4 to 4.3 of the protocol's page with a bitwise CRC.
constexpr const char* golden_hello =
    "ee698c48700000000101000000001000030000000700000062656c61792f730a"
    "0101010100000000101112131415161718191a1b1c1d1e1f0001020304050607"
    "08090a0b0c0d0e0f202122232425262728292a2b2c2d2e2f0000000000000000"
    "0000000000000000050000000000000009000000000000008877665544332211"
    "0600736563726574";
constexpr const char* golden_known =
    "9e1103fd5a0000000102000000001000030000000700000062656c61792f730a"
    "0101010000000000202122232425262728292a2b2c2d2e2f0000000000000000"
    "0000000000000000000040000000000006000000000000008877665544332211"
    "06040000000000000000000000000000"
    "0000";
constexpr const char* golden_replaces =
    "67c347aa5a0000000102000000001000030000000700000062656c61792f730a"
    "0102010000000000202122232425262728292a2b2c2d2e2f3031323334353637"
    "38393a3b3c3d3e3f000000000000000000000000000000000000000000000000"
    "00000000000000002a00000000000000"
    "0000";

std::string hex_of(const Frame& frame) {
    Bytes message;
    append_frame(message, frame);
    return to_hex(message);
}
std::string hex_of(SessionErrc code, std::uint64_t detail, BytesView payload = {}) {
    Bytes message;
    append_error(message, code, detail, payload);
    return to_hex(message);
}

/// The payload of a golden greeting, with some bytes of it changed.
Bytes payload_with(const char* golden, std::size_t at, std::string_view bytes) {
    Bytes message = from_hex(golden);
    Bytes payload(message.begin() + 24, message.end());
    for (std::size_t i = 0; i < bytes.size(); ++i)
        payload[at + i] = static_cast<std::byte>(bytes[i]);
    return payload;
}
std::error_code hello_error(const Bytes& payload, std::uint8_t flags = 0,
                            std::uint64_t number = golden_attach, std::uint32_t aux = 0) {
    return read_hello({.type = FrameType::hello,
                       .flags = flags,
                       .aux = aux,
                       .number = number,
                       .payload = payload})
        .error();
}
std::error_code welcome_error(const Bytes& payload, std::uint32_t aux = 1) {
    return read_welcome({.type = FrameType::welcome,
                         .aux = aux,
                         .number = golden_attach,
                         .payload = payload})
        .error();
}

using namespace std::string_view_literals;
const std::string sixteen_zeros(16, '\0');
const std::string eight_ones(8, '\xff');

}  // namespace

TEST_CASE("Greetings have the golden bytes", "[session][greeting][golden]") {
    Bytes message;
    append_hello(message, some_hello());
    CHECK(to_hex(message) == golden_hello);
    message.clear();
    append_welcome(message, some_welcome());
    CHECK(to_hex(message) == golden_known);
    message.clear();
    append_welcome(message, {.attach = golden_attach,
                             .payload_bytes_max = 1U << 20U,
                             .replaces = true,
                             .store = counting(0x20),
                             .replaced_journal = counting(0x30),
                             .replaced_applied = 42});
    CHECK(to_hex(message) == golden_replaces);
    message.clear();
    append_ack(message, 1, 1025, 4194309);
    CHECK(to_hex(message) ==
          "a6ab18df10000000010500000000000001000000000000000104000000000000"
          "0500400000000000");
}

TEST_CASE("START, ERROR, PING and PONG have the golden bytes", "[session][greeting][golden]") {
    // These bytes were computed as the greetings above.
    CHECK(hex_of({.type = FrameType::start, .number = golden_attach}) ==
          "60631e240000000001030000000000000300000007000000");
    CHECK(hex_of(SessionErrc::fenced, (std::uint64_t{9} << 32U) + 1) ==
          "50e21c2500000000010a0000050000000100000009000000");
    CHECK(hex_of(SessionErrc::store_changed, 0, counting(0x20)) ==
          "011e426b10000000010a0000060000000000000000000000"
          "202122232425262728292a2b2c2d2e2f");
    CHECK(hex_of(SessionErrc::version, (std::uint64_t{1} << 32U) + 1) ==
          "26ad0d4500000000010a0000020000000100000001000000");
    CHECK(hex_of({.type = FrameType::ping, .number = 77}) ==
          "7a1f03e400000000010b0000000000004d00000000000000");
    CHECK(hex_of({.type = FrameType::pong, .number = 77}) ==
          "8c9a47d700000000010c0000000000004d00000000000000");
}

TEST_CASE("read_hello returns the fields that append_hello wrote", "[session][greeting][unit]") {
    const Bytes message = from_hex(golden_hello);
    const auto read = read_hello(only_frame(message, greeting_bytes_max));
    REQUIRE(read.has_value());
    const Hello h = some_hello();
    CHECK(read->attach == h.attach);
    CHECK(read->payload_bytes_max == h.payload_bytes_max);
    CHECK(read->sender == h.sender);
    CHECK(read->journal == h.journal);
    CHECK(read->pinned_store == h.pinned_store);
    CHECK(read->base == h.base);
    CHECK(read->last == h.last);
    CHECK(read->check == h.check);
    CHECK(as_text(read->token) == "secret");
    CHECK(read->version_low == 1);
    CHECK(read->version_high == 1);
}

TEST_CASE("read_welcome returns the fields that append_welcome wrote",
          "[session][greeting][unit]") {
    const Bytes known = from_hex(golden_known);
    auto read = read_welcome(only_frame(known, greeting_bytes_max));
    REQUIRE(read.has_value());
    const Welcome g = some_welcome();
    CHECK(read->attach == g.attach);
    CHECK(read->payload_bytes_max == g.payload_bytes_max);
    CHECK(read->known);
    CHECK_FALSE(read->replaces);
    CHECK(read->store == g.store);
    CHECK(read->byte_limit == g.byte_limit);
    CHECK(read->applied == g.applied);
    CHECK(read->check == g.check);
    CHECK(read->number_limit == g.number_limit);
    const Bytes replaces = from_hex(golden_replaces);
    read = read_welcome(only_frame(replaces, greeting_bytes_max));
    REQUIRE(read.has_value());
    CHECK_FALSE(read->known);
    CHECK(read->replaces);
    CHECK(read->replaced_journal == counting(0x30));
    CHECK(read->replaced_applied == 42);
}

TEST_CASE("Greetings are rejected at every wrong length", "[session][greeting][fault]") {
    const Bytes hello = payload_with(golden_hello, 0, "");
    const Bytes welcome = payload_with(golden_known, 0, "");
    for (std::size_t n = 0; n <= hello.size() + 1; ++n) {
        Bytes cut = hello;
        cut.resize(n);
        CHECK((n == hello.size()) == !hello_error(cut));
    }
    for (std::size_t n = 0; n <= welcome.size() + 1; ++n) {
        Bytes cut = welcome;
        cut.resize(n);
        CHECK((n == welcome.size()) == !welcome_error(cut));
    }
}

TEST_CASE("read_hello validates every field", "[session][greeting][fault]") {
    const auto with = [](std::size_t at, std::string_view bytes) {
        return hello_error(payload_with(golden_hello, at, bytes));
    };
    CHECK_FALSE(with(0, "belay/s\n"));
    CHECK(with(0, "B") == SessionErrc::protocol);
    CHECK(with(7, "\0"sv) == SessionErrc::protocol);
    CHECK(with(8, "\x02\x01") == SessionErrc::protocol);  // no range
    CHECK(with(8, "\x02\x09") == SessionErrc::version);
    CHECK(with(8, "\0\0"sv) == SessionErrc::version);
    CHECK_FALSE(with(8, "\0\x09"sv));
    CHECK(with(10, "\x03") == SessionErrc::protocol);  // roles
    CHECK(with(10, "\x02") == SessionErrc::protocol);
    CHECK(with(11, "\0"sv) == SessionErrc::protocol);  // lanes
    CHECK(with(11, "\x02") == SessionErrc::protocol);
    CHECK_FALSE(with(12, "\x01"));                            // an offer that is not taken
    CHECK(with(16, sixteen_zeros) == SessionErrc::protocol);  // no sender
    CHECK(with(32, sixteen_zeros) == SessionErrc::protocol);  // no journal
    CHECK_FALSE(with(48, sixteen_zeros));                     // not pinned
    CHECK(with(64, eight_ones) == SessionErrc::protocol);     // reserved bytes
    CHECK(with(79, "\x01") == SessionErrc::protocol);
    CHECK(with(80, std::string(8, '\0')) == SessionErrc::protocol);  // base 0
    CHECK(with(80, eight_ones) == SessionErrc::protocol);            // base beyond 2^63
    CHECK(with(80, "\x0b") == SessionErrc::protocol);                // base above last + 1
    CHECK_FALSE(with(80, "\x0a"));                                   // nothing is held
    CHECK(with(88, eight_ones) == SessionErrc::protocol);            // last beyond 2^63
    // Token shorter than its length field.
    CHECK(with(104, "\x05") == SessionErrc::protocol);
    CHECK(with(104, "\x07") == SessionErrc::protocol);
    const Bytes good = payload_with(golden_hello, 0, "");
    // A rebase, which the protocol does not have.
    CHECK(hello_error(good, 1) == SessionErrc::protocol);
    CHECK(hello_error(good, 0, 0) == SessionErrc::protocol);  // attach 0
    // An operation may have at most 16 MiB.
    CHECK_FALSE(hello_error(good, 0, 1, payload_bytes_ceiling));
    CHECK(hello_error(good, 0, 1, payload_bytes_ceiling + 1) == SessionErrc::protocol);
}

TEST_CASE("read_welcome validates every field", "[session][greeting][fault]") {
    const auto with = [](std::size_t at, std::string_view bytes) {
        return welcome_error(payload_with(golden_known, at, bytes));
    };
    CHECK(with(0, "B") == SessionErrc::protocol);
    CHECK(with(8, "\x02") == SessionErrc::version);
    CHECK(with(9, "\x04") == SessionErrc::protocol);   // flags
    CHECK(with(10, "\x02") == SessionErrc::protocol);  // lanes
    CHECK(with(11, "\x01") == SessionErrc::protocol);
    CHECK(with(12, "\x01") == SessionErrc::protocol);         // a feature that was not offered
    CHECK(with(16, sixteen_zeros) == SessionErrc::protocol);  // no store
    CHECK(with(56, eight_ones) == SessionErrc::protocol);     // applied beyond 2^63
    CHECK(with(72, eight_ones) == SessionErrc::protocol);     // limit beyond 2^63
    CHECK(with(88, "\x01") == SessionErrc::protocol);         // rejections
    const Bytes good = payload_with(golden_known, 0, "");
    CHECK(welcome_error(good, 0) == SessionErrc::protocol);
    CHECK_FALSE(welcome_error(good, payload_bytes_ceiling));
    CHECK(welcome_error(good, payload_bytes_ceiling + 1) == SessionErrc::protocol);
}
