// SPDX-License-Identifier: MIT
/// \file belay/link/length_prefixed.hpp
/// LengthPrefixed: a framing that puts the length before each message, with pings and pongs.
#pragma once

#include <belay/core/order.hpp>
#include <belay/link/framing_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A framing that puts the length before each message.
///
/// A frame is
/// - u32 length of the message, little endian,
/// - u8 kind: 0 message, 1 ping, 2 pong,
/// - the message.
///
/// Pings and pongs carry no message. A ping is answered by a pong.
///
/// Models:        FramingLike, without state.   Thread safety: distinct objects safe.
/// Complexity:    O(1) to cut. A header whose message has not arrived costs only its 5 bytes.
struct LengthPrefixed {
    /// The maximum size of a message; a longer one is a protocol error. The default is 16 MiB, plus
    /// 4096 bytes for what protocols add around a message of that size. At most 4 GiB - 1.
    std::size_t bytes_max = (std::size_t{16} << 20U) + 4096;

    static constexpr std::size_t header_bytes = 5;
    static constexpr bool carries_any_bytes = true;

    [[nodiscard]] part::Cut cut(BytesView bytes, const part::CutHints& hints) const noexcept {
        if (bytes.size() < header_bytes) return part::Cut::more(header_bytes);
        const std::size_t length = load_le<std::uint32_t>(bytes.data());
        switch (static_cast<Kind>(bytes[4])) {
            case Kind::message:
                // A message that had begun before a lower limit was set may still end.
                if (length > bytes_max ||
                    (hints.seen < header_bytes && length > hints.message_bytes_max)) {
                    return part::Cut::garbage();
                }
                if (bytes.size() - header_bytes < length)
                    return part::Cut::more(header_bytes + length);
                return part::Cut::message(header_bytes + length,
                                          bytes.subspan(header_bytes, length));
            case Kind::ping:
                return length == 0 ? part::Cut::alive(header_bytes, pong_bytes)
                                   : part::Cut::garbage();
            case Kind::pong:
                return length == 0 ? part::Cut::alive(header_bytes) : part::Cut::garbage();
        }
        return part::Cut::garbage();
    }

    /// Appends the frame of `message` to `out`.   Returns: false if the message is too long.
    /// Throws: std::bad_alloc, and then nothing was appended.
    [[nodiscard]] bool put(BytesView message, Bytes& out) const {
        if (!fits(message.size())) return false;
        const std::size_t size = out.size() + header_bytes + message.size();
        if (size > out.capacity()) out.reserve(detail::larger(size, 2 * out.capacity()));
        put_header(message.size(), out);
        out.insert(out.end(), message.begin(), message.end());
        return true;
    }
    bool put_header(std::size_t message_bytes, Bytes& out) const {
        if (!fits(message_bytes)) return false;
        append(Kind::message, message_bytes, out);
        return true;
    }
    static void put_ping(Bytes& out) { append(Kind::ping, 0, out); }

private:
    enum class Kind : std::uint8_t { message = 0, ping = 1, pong = 2 };
    static constexpr std::byte pong_bytes[header_bytes] = {{}, {}, {}, {}, std::byte{2}};

    [[nodiscard]] bool fits(std::size_t message_bytes) const noexcept {
        return message_bytes <= bytes_max && message_bytes <= 0xFFFF'FFFFU;
    }
    static void append(Kind kind, std::size_t length, Bytes& out) {
        std::byte header[header_bytes];
        store_le(header, static_cast<std::uint32_t>(length));
        header[4] = static_cast<std::byte>(kind);
        out.insert(out.end(), header, header + header_bytes);
    }
};

}}  // namespace belay
