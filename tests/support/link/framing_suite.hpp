// SPDX-License-Identifier: MIT
/// \file tests/support/link/framing_suite.hpp
/// The tests of every framing: the same messages for any division of the stream, and only messages,
/// signs of life or a failure for any bytes.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <belay/core/random.hpp>
#include <belay/link/detail/stream_connection.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// The content of a stream: messages in quotes, "alive", and "failed" at the end.
using Findings = std::vector<std::string>;

/// Reads a stream in pieces of random lengths, or as a whole if `longest` is 0.
template <belay::FramingLike F>
Findings find_in(const F& framing, std::string_view stream, belay::Random& bits,
                 std::size_t longest, std::size_t message_bytes_max = std::size_t(-1)) {
    belay::detail::StreamInput<F> input{framing};
    input.limit_messages(message_bytes_max);
    Findings found;
    for (std::size_t at = 0; at < stream.size();) {
        const std::span<std::byte> room = input.space();
        REQUIRE(!room.empty());
        std::size_t n = std::min(room.size(), stream.size() - at);
        if (longest != 0) {
            n = std::min<std::size_t>(n, 1 + belay::uniform_upto(bits, longest - 1));
        }
        std::memcpy(room.data(), stream.data() + at, n);
        input.arrived(n);
        at += n;
        for (bool more = true; more;) {
            const belay::part::Cut cut = input.next();
            switch (cut.kind) {
                case belay::part::Cut::Kind::more:
                    more = false;
                    break;
                case belay::part::Cut::Kind::message:
                    REQUIRE(cut.body.size() <= message_bytes_max);
                    found.push_back("\"" + std::string{belay::as_text(cut.body)} + "\"");
                    break;
                case belay::part::Cut::Kind::alive:
                    found.emplace_back("alive");
                    break;
                case belay::part::Cut::Kind::failed:
                    REQUIRE(cut.failure.cause != belay::Cause::none);
                    found.emplace_back("failed");
                    return found;
            }
        }
    }
    return found;
}

/// Appends a message that the framing can encode.
template <belay::FramingLike F>
void say(F& framing, const std::string& message, belay::Bytes& out) {
    const std::size_t before = out.size();
    REQUIRE(framing.put(belay::as_bytes(message), out));
    REQUIRE(out.size() > before);
    if constexpr (belay::detail::PutsHeader<F>) {
        // The header and the message have the same bytes.
        belay::Bytes apart(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(before));
        REQUIRE(framing.put_header(message.size(), apart));
        const belay::BytesView body = belay::as_bytes(message);
        apart.insert(apart.end(), body.begin(), body.end());
        REQUIRE(apart == out);
    }
}

/// The tests. `any(bits)` returns a message that the framing can encode.
template <belay::FramingLike F>
void check_framing(const F& framing, const std::function<std::string(belay::Random&)>& any,
                   belay::Seed seed) {
    belay::Random bits{seed};
    F sender = framing;
    belay::Bytes bytes;
    Findings findings;
    for (int i = 0; i < 12; ++i) {
        if constexpr (belay::detail::PutsPing<F>) {
            if (belay::uniform_upto(bits, 3) == 0) {
                sender.put_ping(bytes);
                findings.emplace_back("alive");
            }
        }
        const std::string message = any(bits);
        say(sender, message, bytes);
        findings.push_back("\"" + message + "\"");
    }
    const std::string stream{belay::as_text(bytes)};

    // The stream in pieces of any lengths.
    CHECK(find_in(framing, stream, bits, 0) == findings);
    CHECK(find_in(framing, stream, bits, 1) == findings);
    CHECK(find_in(framing, stream, bits, 1 + belay::uniform_upto(bits, 40)) == findings);
    // part::Cut anywhere: the messages that were complete, and no more.
    for (int i = 0; i < 20; ++i) {
        const std::size_t end = belay::uniform_upto(bits, stream.size());
        const Findings found = find_in(framing, stream.substr(0, end), bits, 7);
        REQUIRE(found.size() <= findings.size());
        CHECK(std::equal(found.begin(), found.end(), findings.begin()));
    }
    // A flipped bit, and noise: messages, signs of life, or a failure, the same for any division.
    for (int i = 0; i < 40; ++i) {
        std::string damaged = stream;
        const std::size_t at = belay::uniform_upto(bits, damaged.size() - 1);
        const auto flip = 1U << belay::uniform_upto(bits, 7);
        damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
        CHECK(find_in(framing, damaged, bits, 0) == find_in(framing, damaged, bits, 5));
        for (char& c : damaged) c = static_cast<char>(belay::uniform_upto(bits, 255));
        CHECK(find_in(framing, damaged, bits, 0) == find_in(framing, damaged, bits, 5));
    }
    // No message above the limit of the connection (find_in requires it).
    static_cast<void>(find_in(framing, stream, bits, 9, 3));
}

}  // namespace belay_test
