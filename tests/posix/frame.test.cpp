// SPDX-License-Identifier: MIT
// Goal: frames survive any cut of the stream; what is too long or unknown is found before it costs.
#include <belay/posix/detail/frame.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using posix::detail::FrameKind;
using posix::detail::FrameReader;
using posix::detail::FrameWriter;
using Found = posix::detail::FrameReader::Found;

namespace {

std::string bytes_of(const FrameWriter& w) { return std::string{as_text(w.pending())}; }

/// The frames that a reader finds in pieces of a stream, as text.
std::vector<std::string> frames(FrameReader& reader, std::string_view stream, std::size_t piece) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < stream.size(); i += piece) {
        BytesView rest = as_bytes(stream.substr(i, piece));
        for (bool more = true; more;) {
            switch (reader.next(rest)) {
                case Found::nothing:
                    more = false;
                    break;
                case Found::message:
                    found.push_back("data " + std::string{as_text(reader.message())});
                    break;
                case Found::ping:
                    found.emplace_back("ping");
                    break;
                case Found::pong:
                    found.emplace_back("pong");
                    break;
                case Found::garbage:
                    found.emplace_back("garbage");
                    return found;
            }
        }
    }
    return found;
}

}  // namespace

TEST_CASE("FrameWriter writes the bytes of the format", "[posix][posix_frame][golden]") {
    FrameWriter w;
    w.append(FrameKind::data, as_bytes("abc"));
    w.append(FrameKind::ping, {});
    w.append(FrameKind::pong, {});
    using namespace std::string_literals;
    CHECK(bytes_of(w) == "\x03\0\0\0\0abc\0\0\0\0\1\0\0\0\0\2"s);
}

TEST_CASE("FrameReader finds the same frames however the stream is cut",
          "[posix][posix_frame][property]") {
    CHECK(rc::check("pieces of any size", [](const std::vector<std::string>& messages) {
        const auto piece = *rc::gen::inRange<std::size_t>(1, 20);
        FrameWriter w;
        std::vector<std::string> expected;
        for (const std::string& m : messages) {
            w.append(FrameKind::data, as_bytes(m));
            w.append(FrameKind::ping, {});
            expected.push_back("data " + m);
            expected.emplace_back("ping");
        }
        FrameReader reader{1000};
        RC_ASSERT(frames(reader, bytes_of(w), piece) == expected);
    }));
}

TEST_CASE("FrameReader takes messages up to the limit and no longer ones",
          "[posix][posix_frame][unit]") {
    FrameWriter w;
    w.append(FrameKind::data, as_bytes("12345678"));
    FrameReader fits{8}, short_by_one{7};
    CHECK(frames(fits, bytes_of(w), 100) == std::vector<std::string>{"data 12345678"});
    CHECK(frames(short_by_one, bytes_of(w), 1) == std::vector<std::string>{"garbage"});
}

TEST_CASE("FrameReader refuses unknown kinds, and pings with a payload",
          "[posix][posix_frame][unit]") {
    using namespace std::string_literals;
    for (const std::string& bad :
         {"\0\0\0\0\x03"s, "\0\0\0\0\xff"s, "\1\0\0\0\1x"s, "\1\0\0\0\2x"s, "HTTP/1.1 200 OK"s}) {
        FrameReader reader{1000};
        CHECK(frames(reader, bad, 100) == std::vector<std::string>{"garbage"});
    }
}

TEST_CASE("FrameReader allocates what has arrived, not what a header promises",
          "[posix][posix_frame][unit]") {
    using namespace std::string_literals;
    FrameReader reader{std::size_t{1} << 30};
    CHECK(frames(reader, "\0\0\0\x40\0xyz"s, 100).empty());
    CHECK(reader.message().capacity() <= std::size_t{1} << 16);
    const std::string more(1 << 17, 'x');
    CHECK(frames(reader, more, 1000).empty());
    CHECK(reader.message().capacity() <= std::size_t{1} << 19);
}

TEST_CASE("FrameReader::next of a short message allocates exactly its size",
          "[posix][posix_frame][unit]") {
    FrameWriter w;
    w.append(FrameKind::data, as_bytes(std::string(1000, 'x')));
    FrameReader reader{1 << 20};
    CHECK(frames(reader, bytes_of(w), 7).size() == 1);
    CHECK(reader.message().capacity() == 1000);
}

TEST_CASE("FrameWriter keeps order and content over any consumption",
          "[posix][posix_frame][property]") {
    CHECK(rc::check("what comes out is what went in",
                    [](const std::vector<std::pair<std::string, std::uint8_t>>& steps) {
                        FrameWriter w;
                        std::string in, out;
                        for (const auto& [text, n] : steps) {
                            FrameWriter one;
                            one.append(FrameKind::data, as_bytes(text));
                            const std::size_t skip = n % (one.size() + 1);
                            in += bytes_of(one).substr(skip);
                            w.append(FrameKind::data, as_bytes(text), skip);
                            const std::size_t take = std::min<std::size_t>(n, w.size());
                            out += as_text(w.pending().first(take));
                            w.consume(take);
                            w.give_back_above(64);
                        }
                        out += as_text(w.pending());
                        RC_ASSERT(in == out);
                    }));
}
