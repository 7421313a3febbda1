// SPDX-License-Identifier: MIT
/// \file belay/link/framing_like.hpp
/// FramingLike: turns a stream of bytes into messages, and messages into a stream.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// The result of looking at the front of a stream.
struct Cut {
    enum class Kind : std::uint8_t {
        more,     ///< not enough bytes yet
        message,  ///< a whole message
        alive,    ///< a sign of life, and no message
        failed    ///< the bytes are invalid: the connection ends
    };

    Kind kind = Kind::more;
    /// For a message or a sign of life: the number of bytes used, at least 1.
    /// For `more`: the total number of bytes needed before the next call is useful, or 0 if that is
    /// not known.
    std::size_t bytes = 0;
    /// For a message: its content. For a sign of life: the answer to send, or empty. The answer is
    /// left out if the last one has not left yet. The bytes are within the stream, or have static
    /// storage.
    BytesView body{};
    Failure failure{};

    [[nodiscard]] static constexpr Cut more(std::size_t bytes = 0) noexcept {
        return {Kind::more, bytes, {}, {}};
    }
    [[nodiscard]] static constexpr Cut message(std::size_t bytes, BytesView body) noexcept {
        return {Kind::message, bytes, body, {}};
    }
    [[nodiscard]] static constexpr Cut alive(std::size_t bytes, BytesView answer = {}) noexcept {
        return {Kind::alive, bytes, answer, {}};
    }
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
concept PingIsSound = PutsPing<F> || !has_put_ping<F>();
template <class F>
concept HeaderIsSound = PutsHeader<F> || !has_put_header<F>();
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

}}  // namespace belay
