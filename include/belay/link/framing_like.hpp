// SPDX-License-Identifier: MIT
/// \file belay/link/framing_like.hpp
/// FramingLike: how a stream of bytes becomes messages, and messages become a stream.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// What a framing has found at the front of a stream.
struct Cut {
    enum class Kind : std::uint8_t {
        more,     ///< not enough yet
        message,  ///< a whole one
        alive,    ///< a sign of life, and no message
        failed    ///< what came cannot be: the connection ends
    };

    Kind kind = Kind::more;
    /// Of a message and a sign of life: the bytes that are used up, 1 at least. Of `more`: how many
    /// there must be in all before it is worth to ask again; 0 where that is not known.
    std::size_t bytes = 0;
    /// Of a message: itself. Of a sign of life: what to answer, if anything; where the last answer
    /// has not left yet this one is left out. Within the stream, or of static storage.
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
    /// The peer broke the protocol, or the data was damaged.
    [[nodiscard]] static Cut garbage() noexcept {
        return failed(Failure::from(std::make_error_code(std::errc::protocol_error)));
    }
};

/// What a framing is told beside the bytes.
struct CutHints {
    /// So many of the bytes it has looked at: at its last `more`; 0 when a message begins.
    std::size_t seen = 0;
    /// No message that begins may be longer than this, whatever the framing would take; one that
    /// has begun may end, or fail.
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
// A call of another form would never be made.
template <class F>
concept PingIsSound = PutsPing<F> || !has_put_ping<F>();
template <class F>
concept HeaderIsSound = PutsHeader<F> || !has_put_header<F>();
}  // namespace detail

/// Turns a stream of bytes into messages: a protocol's frames, lines, or your own. Each connection
/// has a copy, which may remember what it likes of its stream.
///
/// - `cut(BytesView bytes, const CutHints&) noexcept -> Cut`: what the stream begins with, where
///   `bytes` are those that have come and are not used up. A length is refused before its bytes are
///   there; nothing is taken for granted of a peer;
/// - `put(BytesView message, Bytes& out) -> bool`: appends the message to `out`, so that `cut`
///   gives it back. False, and nothing was appended: it is too long, or cannot be said;
/// - optional `put_ping(Bytes& out)`: what a peer answers by a sign of life;
/// - optional `put_header(std::size_t message_bytes, Bytes& out) -> bool`: where `put` is a header
///   and then the message as it is, the header alone: long messages then go out without a copy.
///
/// They are about bytes: none of them calls what its connection belongs to.
///
/// Models: LengthPrefixed, Lines.
template <class F>
concept FramingLike = std::copyable<F> && detail::CutsStream<F> && detail::PutsMessage<F> &&
                      detail::PingIsSound<F> && detail::HeaderIsSound<F>;

namespace explain {

/// Names every requirement of FramingLike that F lacks.
template <class F>
consteval bool framing_like() {
    static_assert(std::copyable<F>, "FramingLike: F must be copyable, each connection has one");
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
