// SPDX-License-Identifier: MIT
/// \file belay/link/framings.hpp
/// FramingLike: turns a stream of bytes into messages, and messages into a stream.
/// LengthPrefixed: puts the length before each message, with pings and pongs.
/// Lines: each line of text is a message.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// The result of looking at the front of a stream.
struct Cut {
    /// The results of a cut.
    enum class Kind : std::uint8_t {
        more,     ///< not enough bytes yet
        message,  ///< a whole message
        alive,    ///< a sign of life, and no message
        failed    ///< the bytes are invalid: the connection ends
    };

    /// The result.
    Kind kind = Kind::more;
    /// For a message or a sign of life: the number of bytes used, at least 1.
    /// For `more`: the total number of bytes needed before the next call is useful, or 0 if that is
    /// not known.
    std::size_t bytes = 0;
    /// For a message: its content. For a sign of life: the answer to send, or empty. The answer is
    /// left out if the last one has not left yet. The bytes are within the stream, or have static
    /// storage.
    BytesView body{};
    /// Why the connection must end.
    Failure failure{};

    /// There is no whole message yet. `bytes` is how many it needs, if that is known.
    [[nodiscard]] static constexpr Cut more(std::size_t bytes = 0) noexcept {
        return {Kind::more, bytes, {}, {}};
    }
    /// A whole message.
    [[nodiscard]] static constexpr Cut message(std::size_t bytes, BytesView body) noexcept {
        return {Kind::message, bytes, body, {}};
    }
    /// Bytes that are no message, but show that the peer is alive.
    [[nodiscard]] static constexpr Cut alive(std::size_t bytes, BytesView answer = {}) noexcept {
        return {Kind::alive, bytes, answer, {}};
    }
    /// The input is no message, and the connection must end.
    [[nodiscard]] static constexpr Cut failed(const Failure& failure) noexcept {
        return {Kind::failed, 0, {}, failure};
    }
    /// The stream is invalid: the peer broke the protocol, or the data was damaged.
    [[nodiscard]] static Cut garbage() noexcept {
        return failed(Failure::from(std::make_error_code(std::errc::protocol_error)));
    }
};

/// Additional information for a framing.
struct CutHints {
    /// The number of bytes that the framing saw at its last `more`; 0 at the start of a message.
    std::size_t seen = 0;
    /// The limit for a message that begins now, in addition to the framing's own limit. A message
    /// that has begun already may still end, or fail.
    std::size_t message_bytes_max = static_cast<std::size_t>(-1);
};

}  // namespace part

namespace detail {
BELAY_DETAIL_MEMBER(put_ping);
BELAY_DETAIL_MEMBER(put_header);

template <class F>
concept CutsStream = requires(F& framing, BytesView bytes, const part::CutHints& hints) {
    { framing.cut(bytes, hints) } noexcept -> std::same_as<part::Cut>;
};
template <class F>
concept PutsMessage = requires(F& framing, BytesView message, Bytes& out) {
    { framing.put(message, out) } -> std::same_as<bool>;
};
template <class F>
concept PutsPing = requires(F& framing, Bytes& out) { framing.put_ping(out); };
template <class F>
concept PutsHeader = requires(F& framing, std::size_t message_bytes, Bytes& out) {
    { framing.put_header(message_bytes, out) } -> std::same_as<bool>;
};
// An optional function with another signature would never be called, so it does not compile.
template <class F>
concept PingIsSound = PutsPing<F> || !has_put_ping<F>;
template <class F>
concept HeaderIsSound = PutsHeader<F> || !has_put_header<F>;
}  // namespace detail

/// Turns a stream of bytes into messages, and messages into a stream.
///
/// A framing is a protocol's frames, lines, or your own format. Each connection has a copy, which
/// may store any state about its stream.
///
/// - `cut(BytesView bytes, const CutHints&) noexcept -> Cut`: returns what the stream begins with.
///   `bytes` are the bytes that have arrived and are not used up. It must reject a length before
///   the bytes themselves have arrived, and must not trust the peer.
/// - `put(BytesView message, Bytes& out) -> bool`: appends the message to `out`, so that `cut`
///   returns it. It returns false, and appends nothing, if the message is too long or cannot be
///   represented.
/// - optional `put_ping(Bytes& out)`: appends a message that a peer answers with a sign of life.
/// - optional `put_header(std::size_t message_bytes, Bytes& out) -> bool`: appends only the header,
///   if `put` appends a header and then the unchanged message. Long messages are then sent without
///   a copy.
/// - optional `static constexpr bool carries_any_bytes`: whether a message may have any content. If
///   it is false, as in a format of text, a Session or a Receiver over it does not compile. A
///   framing without it counts as one that carries any bytes, and so does a transport.
///
/// None of these functions may call the owner of the connection.
///
/// Models: LengthPrefixed, Lines.
template <class F>
concept FramingLike = std::copyable<F> && detail::CutsStream<F> && detail::PutsMessage<F> &&
                      detail::PingIsSound<F> && detail::HeaderIsSound<F>;

namespace explain {

/// Names every requirement of FramingLike that F lacks.
template <class F>
consteval bool framing_like() {
    static_assert(std::copyable<F>,
                  "FramingLike: F must be copyable, because each connection has its own");
    static_assert(detail::CutsStream<F>,
                  "FramingLike: F needs 'belay::part::Cut cut(belay::BytesView, const "
                  "belay::part::CutHints&) noexcept'");
    static_assert(detail::PutsMessage<F>,
                  "FramingLike: F needs 'bool put(belay::BytesView message, belay::Bytes& out)'");
    static_assert(detail::PingIsSound<F>,
                  "FramingLike: put_ping must be 'void put_ping(belay::Bytes& out)'");
    static_assert(
        detail::HeaderIsSound<F>,
        "FramingLike: put_header must be 'bool put_header(std::size_t message_bytes, belay::Bytes& "
        "out)'");
    return FramingLike<F>;
}

}  // namespace explain

/// A framing that puts the length before each message.
///
/// A frame is
/// - u32 length of the message, little endian,
/// - u8 kind: 0 message, 1 ping, 2 pong,
/// - the message.
///
/// Pings and pongs carry no message. A ping is answered by a pong. The format has no greeting and
/// no version.
///
/// Models:        FramingLike, without state.   Thread safety: distinct objects safe.
/// Complexity:    O(1) to cut. A header whose message has not arrived costs only its 5 bytes.
struct LengthPrefixed {
    /// The maximum size of a message; a longer one is a protocol error. The default is 16 MiB, plus
    /// 4096 bytes for what protocols add around a message of that size. At most 4 GiB - 1.
    std::size_t bytes_max = (std::size_t{16} << 20U) + 4096;

    /// The most bytes in front of a message.
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

/// A framing in which each line of text is a message.
///
/// A line ends with "\n" or "\r\n", which is not part of the message. An empty line is an empty
/// message. `put` rejects a message that contains "\n" or ends with "\r", because it is not a line.
/// The rest of the stream after the last line end is not a message.
///
/// It has no ping of its own. For a Heartbeat use Lines::WithPing.
///
/// Models:        FramingLike, without state.   Thread safety: distinct objects safe.
/// Complexity:    looks at each byte once.
struct Lines {
    class WithPing;

    /// A message must be a line, so a Session over it does not compile.
    static constexpr bool carries_any_bytes = false;

    /// The maximum length of a line, without its end; a longer one is a protocol error.
    std::size_t bytes_max = std::size_t{64} << 10U;
    /// Whether lines are sent with "\r\n". Both line ends are always understood.
    bool carriage_return = false;

    [[nodiscard]] part::Cut cut(BytesView bytes, const part::CutHints& hints) const noexcept {
        const std::size_t most = detail::smaller(bytes_max, hints.message_bytes_max);
        std::size_t size = hints.seen + end_of_line(bytes.subspan(hints.seen));
        const bool whole = size != bytes.size();
        const std::size_t used = size + 1;
        if (size != 0 && bytes[size - 1] == std::byte{'\r'}) --size;
        if (size > most) return part::Cut::garbage();
        return whole ? part::Cut::message(used, bytes.first(size)) : part::Cut::more();
    }

    /// Appends `message` and a line end to `out`.   Returns: false if the message cannot be sent.
    /// Throws: std::bad_alloc, and then nothing was appended.
    [[nodiscard]] bool put(BytesView message, Bytes& out) const {
        const bool is_line = end_of_line(message) == message.size() &&
                             (message.empty() || message.back() != std::byte{'\r'});
        if (!is_line || message.size() > bytes_max) return false;
        const std::size_t size = out.size() + message.size() + 2;
        if (size > out.capacity()) out.reserve(detail::larger(size, 2 * out.capacity()));
        out.insert(out.end(), message.begin(), message.end());
        if (carriage_return) out.push_back(std::byte{'\r'});
        out.push_back(std::byte{'\n'});
        return true;
    }

private:
    /// Returns the index of the first "\n", or the size if there is none.
    [[nodiscard]] static std::size_t end_of_line(BytesView bytes) noexcept {
        if (bytes.empty()) return 0;
        const void* const at = __builtin_memchr(bytes.data(), '\n', bytes.size());
        return at == nullptr
                   ? bytes.size()
                   : static_cast<std::size_t>(static_cast<const std::byte*>(at) - bytes.data());
    }
};

/// Lines with a ping, which is a line that the peer answers with any line.
///
///     Heartbeat{posix::Tcp{loop, server, Lines::WithPing{"PING"}}, beats}
///
/// The answers are messages like any other line. Put the Heartbeat outside a Validated, whose check
/// would otherwise judge the answer to the ping at the opening.
///
/// Models:        FramingLike.   Thread safety: distinct objects safe.
class Lines::WithPing : public Lines {
public:
    /// Pre: `ping` is a line: it has no "\n", no "\r" at its end, and at most `lines.bytes_max`
    ///      bytes.
    /// Throws: std::bad_alloc.
    explicit WithPing(std::string_view ping, Lines lines = {}) : Lines{lines}, ping_{ping} {
        Bytes line;
        const bool is_line = put(as_bytes(ping_), line);
        BELAY_OPTION(is_line, "Lines::WithPing: the ping must be one line, without its end");
    }

    void put_ping(Bytes& out) const { static_cast<void>(put(as_bytes(ping_), out)); }

private:
    std::string ping_;
};

}}  // namespace belay
