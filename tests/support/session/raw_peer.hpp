// SPDX-License-Identifier: MIT
/// \file tests/support/session/raw_peer.hpp
/// RawTransport: a transport in memory whose other end is the test, frame by frame; and the
/// frames of both sides as text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/session/session_format.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

using Observed = std::vector<std::string>;

/// An id that is `n` and zeros.
inline belay::Id id(unsigned n) { return belay::Id{static_cast<std::byte>(n)}; }

inline std::string text_of(belay::BytesView bytes) { return std::string{belay::as_text(bytes)}; }

/// The frame of a message that is one frame.
inline belay::session_format::Frame only_frame(
    const belay::Bytes& message,
    std::size_t payload_bytes_max = belay::session_format::payload_bytes_ceiling) {
    belay::session_format::FrameReader reader{message, payload_bytes_max};
    const auto frame = reader.next();
    REQUIRE(frame.has_value());
    REQUIRE(*frame != nullptr);
    return **frame;
}

/// The text of a frame for comparisons: "data 3 text", "ack 3", "error fenced 7".
inline std::string describe(const belay::session_format::Frame& f) {
    using belay::session_format::FrameType;
    const std::string number = " " + std::to_string(f.number);
    switch (f.type) {
        case belay::session_format::FrameType::hello: {
            const auto h = belay::session_format::read_hello(f);
            if (!h) return "bad hello";
            return "hello" + number + " base " + std::to_string(h->base) + " last " +
                   std::to_string(h->last);
        }
        case belay::session_format::FrameType::welcome: {
            const auto g = belay::session_format::read_welcome(f);
            if (!g) return "bad welcome";
            if (g->known) return "welcome known " + std::to_string(g->applied);
            return g->replaces ? "welcome replaces " + std::to_string(g->replaced_applied)
                               : "welcome new";
        }
        case belay::session_format::FrameType::start:
            return "start" + number;
        case belay::session_format::FrameType::data:
            return "data" + number + " " + text_of(f.payload);
        case belay::session_format::FrameType::ack:
            return "ack" + number;
        case belay::session_format::FrameType::error: {
            static constexpr const char* names[] = {
                "0",          "protocol",      "version",         "unauthorized", "forbidden",
                "fenced",     "store_changed", "unknown_journal", "gap",          "too_large",
                "overloaded", "draining",      "superseded",      "storage"};
            if (f.aux == 19) return "error far_ahead" + number;
            return std::string{"error "} + (f.aux < 14 ? names[f.aux] : "unknown") + number;
        }
        case belay::session_format::FrameType::ping:
            return "ping" + number;
        case belay::session_format::FrameType::pong:
            return "pong" + number;
        default:
            return "frame " + std::to_string(static_cast<int>(f.type)) + number;
    }
}

/// The frames of a message, described.
inline Observed describe(belay::BytesView message) {
    Observed observed;
    belay::session_format::FrameReader reader{message,
                                              belay::session_format::payload_bytes_ceiling};
    for (auto f = reader.next(); f && *f; f = reader.next()) observed.push_back(describe(**f));
    if (reader.bad_type() != 0) observed.emplace_back("garbage");
    return observed;
}

// ---- messages -----------------------------------------------------------------------------------

inline belay::Bytes bytes_of(const belay::session_format::Frame& frame) {
    belay::Bytes message;
    belay::session_format::append_frame(message, frame);
    return message;
}
inline belay::Bytes bytes_of(const belay::session_format::Hello& hello) {
    belay::Bytes message;
    belay::session_format::append_hello(message, hello);
    return message;
}
inline belay::Bytes bytes_of(const belay::session_format::Welcome& welcome) {
    belay::Bytes message;
    belay::session_format::append_welcome(message, welcome);
    return message;
}
inline belay::Bytes start(std::uint64_t attach) {
    return bytes_of(belay::session_format::Frame{.type = belay::session_format::FrameType::start,
                                                 .number = attach});
}
inline belay::Bytes data(std::uint64_t number, std::string_view text, std::uint32_t salt = 7) {
    return bytes_of(belay::session_format::Frame{.type = belay::session_format::FrameType::data,
                                                 .aux = salt,
                                                 .number = number,
                                                 .payload = belay::as_bytes(text)});
}
inline belay::Bytes ping(std::uint64_t token) {
    return bytes_of(belay::session_format::Frame{.type = belay::session_format::FrameType::ping,
                                                 .number = token});
}
inline belay::Bytes ack(std::uint64_t applied, std::uint64_t number_limit = 1000,
                        std::uint64_t byte_limit = 1U << 20U) {
    belay::Bytes message;
    belay::session_format::append_ack(message, applied, number_limit, byte_limit);
    return message;
}
inline belay::Bytes error(belay::SessionErrc code, std::uint64_t detail = 0,
                          belay::BytesView payload = {}) {
    belay::Bytes message;
    belay::session_format::append_error(message, code, detail, payload);
    return message;
}
inline belay::Bytes operator+(belay::Bytes a, const belay::Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
/// A frame with some byte of its header changed, and a checksum that fits.
inline belay::Bytes patched(belay::Bytes frame, std::size_t at, unsigned value) {
    frame[at] = static_cast<std::byte>(value);
    belay::store_le<std::uint32_t>(frame.data(),
                                   belay::part::crc32c(belay::BytesView{frame}.subspan(4)));
    return frame;
}

// ---- the transport ------------------------------------------------------------------------------

/// One connection, from the other end.
struct RawLink {
    belay::Link<belay::Bytes> link;
    /// the messages that belay has sent, and that the test has not read
    std::vector<belay::Bytes> messages;
    belay::SendResult answer = belay::SendResult::sent;
    bool answers_close = true;
    bool closed_gracefully = false;  ///< belay has closed it gracefully
    bool live = true;                ///< the connection object exists
    int pings = 0;
    int resumes = 0;
    std::size_t limit = 0;  ///< the latest limit of messages that belay has set

    /// Passes a message to belay.
    belay::driver::Post say(belay::Bytes message) { return link.received(std::move(message)); }
    /// The messages that belay has sent since the last call.
    Observed sent_frames() {
        Observed observed;
        for (const belay::Bytes& m : messages) {
            for (std::string& s : describe(m)) observed.push_back(std::move(s));
        }
        messages.clear();
        return observed;
    }
    /// The whole text of the only message that belay has sent since the last call.
    belay::Bytes take() {
        belay::Bytes message = messages.empty() ? belay::Bytes{} : std::move(messages.front());
        messages.clear();
        return message;
    }
};

class RawConnection {
public:
    explicit RawConnection(std::shared_ptr<RawLink> line) : line_{std::move(line)} {}
    RawConnection(const RawConnection&) = delete;
    RawConnection& operator=(const RawConnection&) = delete;
    ~RawConnection() { line_->live = false; }
    belay::SendResult send(const belay::Bytes& m) noexcept {
        const SpareMemory spare;
        if (line_->answer == belay::SendResult::sent) line_->messages.push_back(m);
        return line_->answer;
    }
    void close(const belay::Failure& why) noexcept {
        const SpareMemory spare;
        line_->closed_gracefully = true;
        if (line_->answers_close) line_->link.closed(why);
    }
    void resume_reading() noexcept { ++line_->resumes; }
    void limit_messages(std::size_t bytes) noexcept { line_->limit = bytes; }

protected:
    std::shared_ptr<RawLink> line_;
};
class RawPingedConnection : public RawConnection {
public:
    using RawConnection::RawConnection;
    void ping() noexcept { ++line_->pings; }
};

/// All connections that were opened, the newest last.
using RawLinks = std::vector<std::shared_ptr<RawLink>>;

/// Opens at once; each connection is a new entry.
template <class Connection = RawConnection>
struct RawTransport {
    using message_type = belay::Bytes;
    explicit RawTransport(RawLinks& l) : lines{&l} {}
    Connection open(belay::Link<belay::Bytes> link) {
        auto line = std::make_shared<RawLink>();
        line->link = link;
        lines->push_back(line);
        link.opened();
        return Connection{line};
    }
    RawLinks* lines;
};

}  // namespace belay_test
