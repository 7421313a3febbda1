// SPDX-License-Identifier: MIT
/// \file belay/session/frame.hpp
/// session_format::Frame: the unit of the session protocol; see docs/session-protocol.md.
#pragma once

#include <optional>  // std::optional

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/session/session_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace session_format {

/// The type of a frame. The numbers never change.
enum class FrameType : std::uint8_t {
    hello = 1,
    welcome = 2,
    start = 3,
    data = 4,
    ack = 5,
    reject = 6,
    confirm = 7,
    drain = 8,
    close = 9,
    error = 10,
    ping = 11,
    pong = 12
};

/// The fields of a frame; `payload` refers to the message from which it was read.
struct Frame {
    FrameType type{};
    std::uint8_t flags = 0;
    std::uint8_t lane = 0;
    /// Depends on the type: largest payload accepted (hello, welcome), salt (data), code (error).
    std::uint32_t aux = 0;
    /// Depends on the type: attach (hello, welcome, start), number (data, ack), detail (error),
    /// token (ping).
    std::uint64_t number = 0;
    BytesView payload{};
};

/// The size of the header of a frame, which is before its payload.
inline constexpr std::size_t frame_header_bytes = 24;
/// The version of the protocol, which every frame contains.
inline constexpr std::uint8_t frame_version = 1;
/// The maximum payload of a frame before WELCOME.
inline constexpr std::size_t greeting_bytes_max = 8 * 1024;
/// The maximum size of a token in a HELLO.
inline constexpr std::size_t token_bytes_max = 4 * 1024;
/// The maximum payload that either side may ever announce.
inline constexpr std::uint32_t payload_bytes_ceiling = 16U << 20U;

/// Appends a frame to a message.   Pre: the payload is under 4 GiB.   Throws: std::bad_alloc.
inline void append_frame(Bytes& message, const Frame& frame) {
    const std::size_t start = message.size();
    // Without memory, nothing is appended: no half of a frame.
    const std::size_t end = start + frame_header_bytes + frame.payload.size();
    if (end > message.capacity()) message.reserve(detail::larger(end, 2 * message.capacity()));
    const std::byte header[frame_header_bytes]{};
    message.insert(message.end(), header, header + frame_header_bytes);
    const std::byte* const payload = frame.payload.data();
    message.insert(message.end(), payload, payload + frame.payload.size());
    std::byte* const p = message.data() + start;
    store_le<std::uint32_t>(p + 4, static_cast<std::uint32_t>(frame.payload.size()));
    store_le<std::uint8_t>(p + 8, frame_version);
    store_le<std::uint8_t>(p + 9, static_cast<std::uint8_t>(frame.type));
    store_le<std::uint8_t>(p + 10, frame.flags);
    store_le<std::uint8_t>(p + 11, frame.lane);
    store_le<std::uint32_t>(p + 12, frame.aux);
    store_le<std::uint64_t>(p + 16, frame.number);
    const BytesView covered{p + 4, frame_header_bytes - 4 + frame.payload.size()};
    store_le<std::uint32_t>(p, part::crc32c(covered));
}

/// Splits a message into its frames.
///
/// Errors:        SessionErrc::protocol for anything that is not a whole, undamaged, known frame;
///                then `bad_type` is the offending type, and nothing more is read.
/// Thread safety: distinct objects safe.   Allocates: never.
class FrameReader {
public:
    /// `payload_bytes_max` limits every frame's payload, and is checked before anything else of it.
    FrameReader(BytesView message, std::size_t payload_bytes_max) noexcept
        : rest_{message}, payload_bytes_max_{payload_bytes_max} {}

    /// Returns the next frame; none at the end of the message.
    /// Complexity: O(payload) for its checksum.
    [[nodiscard]] Result<std::optional<Frame>> next() noexcept {
        // A message has at least one frame. Otherwise a peer could stay silent for ever with empty
        // messages.
        if (rest_.empty() && read_any_) return std::optional<Frame>{};
        read_any_ = true;
        if (rest_.size() < frame_header_bytes) return damaged(0);
        const std::byte* const p = rest_.data();
        const auto length = load_le<std::uint32_t>(p + 4);
        const auto type = load_le<std::uint8_t>(p + 9);
        if (length > payload_bytes_max_ || length > rest_.size() - frame_header_bytes) {
            return damaged(type);
        }
        const BytesView covered = rest_.subspan(4, frame_header_bytes - 4 + length);
        if (load_le<std::uint32_t>(p) != part::crc32c(covered)) return damaged(type);
        Frame frame;
        frame.type = static_cast<FrameType>(type);
        frame.flags = load_le<std::uint8_t>(p + 10);
        frame.lane = load_le<std::uint8_t>(p + 11);
        frame.aux = load_le<std::uint32_t>(p + 12);
        frame.number = load_le<std::uint64_t>(p + 16);
        frame.payload = rest_.subspan(frame_header_bytes, length);
        const bool known = load_le<std::uint8_t>(p + 8) == frame_version && type >= 1 && type <= 12;
        if (!known || (frame.flags & ~flags_of(frame.type)) != 0 || frame.lane > 15 ||
            !is_zero_where_unused(frame)) {
            return damaged(type);
        }
        rest_ = rest_.subspan(frame_header_bytes + length);
        return std::optional<Frame>{frame};
    }

    /// Returns the type byte of the rejected frame; 0 if it could not be read.
    [[nodiscard]] std::uint8_t bad_type() const noexcept { return bad_type_; }

private:
    [[nodiscard]] std::error_code damaged(std::uint8_t type) noexcept {
        bad_type_ = type;
        rest_ = {};
        return SessionErrc::protocol;
    }
    /// Returns the known flags of a type. Unknown flags are errors: the protocol grows only by
    /// features on which both sides have agreed.
    [[nodiscard]] static constexpr std::uint8_t flags_of(FrameType type) noexcept {
        switch (type) {
            case FrameType::hello:
            case FrameType::reject:
            case FrameType::drain:
                return 1;
            case FrameType::data:
                return 7;
            default:
                return 0;
        }
    }

    [[nodiscard]] static constexpr bool is_zero_where_unused(const Frame& frame) noexcept {
        switch (frame.type) {
            case FrameType::start:
            case FrameType::ping:
            case FrameType::pong:
                return frame.aux == 0 && frame.payload.empty();
            case FrameType::ack:
                return frame.aux == 0;
            default:
                return true;
        }
    }

    BytesView rest_;
    std::size_t payload_bytes_max_;
    std::uint8_t bad_type_ = 0;
    bool read_any_ = false;
};

}}}  // namespace belay::session_format
