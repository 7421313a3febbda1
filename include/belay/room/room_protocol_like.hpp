// SPDX-License-Identifier: MIT
/// \file belay/room/room_protocol_like.hpp
/// RoomProtocolLike and part::RoomMessage: how a client's frames are read and written.
#pragma once

#include <concepts>      // std::same_as, std::convertible_to
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// What a frame between a client and a room says.
struct RoomMessage {
    enum class Kind : std::uint8_t {
        nothing,          ///< of a client: nothing that a room needs
        state_vector,     ///< what its sender has, who is to be sent the rest; empty: nothing
        state,            ///< the last piece of what answers a state vector; empty: nothing more
        update,           ///< a change of the document
        awareness,        ///< who is here, as y-protocols writes it
        query_awareness,  ///< asks for that: a client must answer
        denied,           ///< to a client: what it asked for is refused; the payload is why
        // Only where frames have addresses:
        token,    ///< a credential for a document; to a client: a fresh one is wanted
        granted,  ///< to a client: it is let in; the payload is its Access, as to_string has it
        refused,  ///< to a client: it is not, or no longer; the payload is why
        stored,   ///< to a client: one change of its is durable
        goodbye,  ///< the document is closed, its connection is not; the payload is why
        ping,     ///< of the connection: asks for a pong
        pong
    };
    Kind kind = Kind::nothing;
    BytesView payload{};
    std::string_view version{};  ///< of a token: of a client that answers pings; else empty
};

}  // namespace part

namespace detail {
BELAY_DETAIL_MEMBER(split);
BELAY_DETAIL_MEMBER(disjoint);
BELAY_DETAIL_MEMBER(address);
BELAY_DETAIL_MEMBER(board);

template <class R>
concept ResultOfFrame = requires(R&& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *static_cast<R&&>(r) } -> std::convertible_to<part::RoomMessage>;
    { r.error() } -> std::convertible_to<std::error_code>;
};
template <class P>
concept ReadsFrame = requires(const P& protocol, BytesView frame) {
    { protocol.read(frame) } -> ResultOfFrame;
};
template <class P>
concept WritesFrame = requires(const P& protocol, const part::RoomMessage& message) {
    { protocol.write(message) } -> std::same_as<Bytes>;
};
template <class P>
concept SplitsUpdate = requires(const P& protocol, BytesView update, std::size_t bytes) {
    { protocol.split(update, bytes) } -> std::same_as<std::vector<Bytes>>;
};
template <class P>
concept TellsDisjoint = requires(const P& protocol, BytesView a, BytesView b) {
    { protocol.disjoint(a, b) } -> std::same_as<bool>;
};
template <class R>
concept ResultOfAddress = requires(R&& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *static_cast<R&&>(r) } -> std::convertible_to<BytesView>;
    { r.error() } -> std::convertible_to<std::error_code>;
};
/// One connection has many documents.
template <class P>
concept AddressesFrames = requires(const P& protocol, BytesView bytes) {
    { protocol.address(bytes) } -> ResultOfAddress;
    { protocol.board(bytes) } -> std::same_as<std::string_view>;
};
template <class P>
concept AddressIsSound = AddressesFrames<P> || !(has_address<P>() || has_board<P>());
// In another form it would never be called.
template <class P>
concept OptionalsAreSound = (SplitsUpdate<P> || !has_split<P>()) &&
                            (TellsDisjoint<P> || !has_disjoint<P>()) && AddressIsSound<P>;
}  // namespace detail

/// Reads and writes the frames of one kind of clients: bytes only, no state and no transport.
///
/// - `read(BytesView frame) const`: what a client says, as a `Result<RoomMessage>` whose payload is
///   part of the frame. An error closes the client: RoomErrc::unknown_message, or what a malformed
///   payload is;
/// - `write(const part::RoomMessage&) const`: Bytes, the frame of all kinds but `nothing`;
/// - optional `split(BytesView update, std::size_t bytes_max) const`: a std::vector<Bytes> of
///   updates that together say the same; else an update goes in one frame, whatever its length;
/// - optional `disjoint(BytesView a, BytesView b) const`: whether two state vectors, neither of
///   them empty, have no author in common, so that histories that began apart are noticed;
/// - optional, where one connection has many documents, and then both: `address(BytesView frame)
///   const`: the bytes that lead a frame and say whose it is, as a `Result<BytesView>`, empty of
///   the connection's own; and `board(BytesView address) const`: the std::string_view of the
///   room's id in them. `read` and `write` are then of what follows the address. A client is let
///   into each document by a `token`; nothing that it has said before counts.
///
/// What is written for one client is sent to all whose protocol is of the same type, each behind
/// its address.
///
/// Models: YjsProtocol, HocuspocusProtocol.
template <class P>
concept RoomProtocolLike = std::move_constructible<P> && detail::ReadsFrame<P> &&
                           detail::WritesFrame<P> && detail::OptionalsAreSound<P>;

namespace explain {

/// Names every requirement of RoomProtocolLike that P lacks.
template <class P>
consteval bool room_protocol_like() {
    static_assert(std::move_constructible<P>, "RoomProtocolLike: P must be move constructible");
    static_assert(detail::ReadsFrame<P>,
                  "RoomProtocolLike: P needs 'belay::Result<belay::part::RoomMessage> "
                  "read(belay::BytesView) const'");
    static_assert(
        detail::WritesFrame<P>,
        "RoomProtocolLike: P needs 'belay::Bytes write(const belay::part::RoomMessage&) const'");
    static_assert(detail::SplitsUpdate<P> || !detail::has_split<P>(),
                  "RoomProtocolLike: 'split' must be 'std::vector<belay::Bytes> "
                  "split(belay::BytesView, std::size_t) const'");
    static_assert(detail::TellsDisjoint<P> || !detail::has_disjoint<P>(),
                  "RoomProtocolLike: 'disjoint' must be 'bool disjoint(belay::BytesView, "
                  "belay::BytesView) const'");
    static_assert(detail::AddressIsSound<P>,
                  "RoomProtocolLike: 'belay::Result<belay::BytesView> address(belay::BytesView) "
                  "const' and 'std::string_view board(belay::BytesView) const' need each other");
    return RoomProtocolLike<P>;
}

}  // namespace explain

}}  // namespace belay
