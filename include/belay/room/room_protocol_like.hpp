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

/// The message in a frame between a client and a room.
///
/// A client sends a state_vector when it has connected, with any payload. Otherwise it does not
/// receive the document. The room passes the payload of a message of a client to its document as it
/// is. Only `write` receives an empty state_vector, which means nothing, and an empty state, which
/// means that nothing more follows. A YjsDocument rejects both from a client.
struct RoomMessage {
    /// The kinds of messages.
    enum class Kind : std::uint8_t {
        nothing,          ///< from a client: nothing that a room needs
        state_vector,     ///< what its sender has, to be sent the rest
        state,            ///< the last piece of the answer to a state vector
        update,           ///< a change of the document
        awareness,        ///< who is here, in the format of y-protocols
        query_awareness,  ///< requests awareness, which a client must answer
        denied,           ///< to a client: its request is rejected; the payload is the reason
        // Only if frames have addresses:
        token,     ///< a credential for a document; to a client: requests a fresh one
        granted,   ///< to a client: it is admitted; the payload is its Access, as by to_string
        rejected,  ///< to a client: it is not admitted, or no longer; the payload is the reason
        stored,    ///< to a client: one of its changes is durable
        close,     ///< the document is closed, the connection is not; the payload is the reason
        ping,      ///< for the connection: requests a pong
        pong,
        stateless  ///< text that is no part of the document
    };
    Kind kind = Kind::nothing;   ///< decides what `payload` contains
    BytesView payload{};         ///< refers to the bytes of the frame that was read
    std::string_view version{};  ///< of a token from a client that answers pings; else empty
};

}  // namespace part

namespace detail {
BELAY_DETAIL_MEMBER(split);
BELAY_DETAIL_MEMBER(disjoint);
BELAY_DETAIL_MEMBER(address);
BELAY_DETAIL_MEMBER(room_id);

template <class R>
concept ResultOfFrame = requires(const R& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *r } -> std::convertible_to<part::RoomMessage>;
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
concept HasDisjoint = requires(const P& protocol, BytesView a, BytesView b) {
    { protocol.disjoint(a, b) } -> std::same_as<bool>;
};
template <class R>
concept ResultOfAddress = requires(const R& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *r } -> std::convertible_to<BytesView>;
    { r.error() } -> std::convertible_to<std::error_code>;
};
/// A protocol in which one connection has many documents.
template <class P>
concept AddressesFrames = requires(const P& protocol, BytesView bytes) {
    { protocol.address(bytes) } -> ResultOfAddress;
    { protocol.room_id(bytes) } -> std::same_as<std::string_view>;
};
template <class P>
concept AddressIsSound = AddressesFrames<P> || !(has_address<P> || has_room_id<P>);
// A member with another signature would never be called.
template <class P>
concept OptionalsAreSound =
    (SplitsUpdate<P> || !has_split<P>)&&(HasDisjoint<P> || !has_disjoint<P>)&&AddressIsSound<P>;
}  // namespace detail

/// Reads and writes the frames of one kind of clients.
///
/// It handles bytes only, without state and without a transport. The result of a call depends on
/// its arguments alone: not on earlier frames, nor on the object of the type. No call throws,
/// except std::bad_alloc.
///
/// - `read(BytesView frame) const`: reads what a client sent, which may be any bytes, or none. It
///   returns a `Result<RoomMessage>` of a kind that clients send. Its payload is part of the frame,
///   or of bytes that the result owns. It is not longer than the frame, because RoomOptions limits
///   the bytes of frames. An error closes the client: RoomErrc::unknown_message or malformed_frame,
///   or the error of a malformed payload. Its close code must not be 1000, 1001 or 1013, because
///   the client would send the same frame again.
/// - `write(const part::RoomMessage&) const`: returns the frame of a message as Bytes. It writes
///   the kinds from `state_vector` to `denied`, and those after `denied` if frames have addresses.
///   Each kind has frames of its own. A frame has at most 4 bytes for each byte of the payload, and
///   1 KiB more.
/// - optional `split(BytesView update, std::size_t bytes_max) const`: returns a std::vector<Bytes>
///   of updates that together are equivalent to the update, of at most `bytes_max` bytes each if
///   the format allows it. The update is longer than `bytes_max`, which is at least 1 KiB. The
///   pieces have at most 4 times its bytes, and 1 KiB more. Without it an update is sent in one
///   frame of any length.
/// - optional `disjoint(BytesView a, BytesView b) const`: returns whether two state vectors have
///   authors, and none in common. It is symmetric. The manager uses it to detect histories that
///   began apart. The second one is from a client, and may be any bytes.
/// - optional `address(BytesView frame) const`: returns the bytes at the beginning of a frame that
///   identify its document, as a `Result<BytesView>`. They are empty for the connection's own
///   frames, which are pings and pongs. A client whose address has more than 256 bytes is closed.
///   An address delimits itself: `address` returns the same one before any frame that `write`
///   returns.
/// - optional `room_id(BytesView address) const`: returns the room id in an address that is not
///   empty, as a std::string_view.
///
/// The last two need each other, and are for protocols in which one connection has many documents.
/// `read` and `write` then handle what follows the address. A client is admitted to each document
/// by a `token`. Its earlier messages are ignored.
///
/// A frame that is written for one client is sent to all clients whose protocol has the same type,
/// each after its own address.
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
    static_assert(detail::SplitsUpdate<P> || !detail::has_split<P>,
                  "RoomProtocolLike: 'split' must be 'std::vector<belay::Bytes> "
                  "split(belay::BytesView, std::size_t) const'");
    static_assert(detail::HasDisjoint<P> || !detail::has_disjoint<P>,
                  "RoomProtocolLike: 'disjoint' must be 'bool disjoint(belay::BytesView, "
                  "belay::BytesView) const'");
    static_assert(
        detail::AddressIsSound<P>,
        "RoomProtocolLike: P needs both 'belay::Result<belay::BytesView> address(belay::BytesView) "
        "const' and 'std::string_view room_id(belay::BytesView) const', or neither");
    return RoomProtocolLike<P>;
}

}  // namespace explain

}}  // namespace belay
