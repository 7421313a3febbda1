// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_protocol_check.hpp
/// check::room_protocol: tests whether a protocol of rooms is correct; room.hpp does not include
/// it.
#pragma once

#include <concepts>  // std::invocable
#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional, std::nullopt
#include <span>      // std::span
#include <string>    // std::string

#include "support/room/room_protocol_checker.hpp"
#include "support/room/room_protocol_rule.hpp"

namespace belay { inline namespace BELAY_ABI { namespace check {

/// A frame that clients send, and what it contains.
struct ClientFrame {
    /// All bytes of the frame, with its address.
    Bytes frame{};
    /// The kind of its message.
    part::RoomMessage::Kind kind{};
    /// The payload of its message. Without one, the check does not compare it.
    std::optional<Bytes> payload{};
    /// The room id in its address. If it is empty, the check does not compare it.
    std::string room_id{};
};

/// The extent of the tests of check::room_protocol.
struct RoomProtocolOptions {
    /// The number of malformed frames that are made from each frame.
    std::uint64_t mutations = 1000;
    /// The same seed gives the same malformed frames.
    Seed seed{1};
    /// Returns the number of bytes that the program has allocated since its start, released ones
    /// included. With it, the check limits the memory that reading allocates.
    std::uint64_t (*allocated)() = nullptr;
};

/// Tests a protocol with some frames and a document, and returns the first fault.
///
/// Returns nothing if there is no fault.
///
///     using Kind = part::RoomMessage::Kind;
///     const std::vector<check::ClientFrame> frames{
///         {to_bytes("?"), Kind::state_vector, Bytes{}},
///         {to_bytes("+one"), Kind::update, to_bytes("one")}};
///     const auto fault = check::room_protocol([] { return Mine{}; }, Words{}, frames);
///     if (fault) std::puts(to_string(*fault).c_str());
///
/// - `make()` returns a new protocol, as you pass it to RoomManager::accept.
/// - `empty` is the empty document of your rooms, which accepts the updates in `frames`. For a
///   protocol with `split`, use one that reads updates. In a list of bytes, pieces differ from
///   their update.
/// - `frames` are frames that clients send, at least one of each kind that they send. An update
///   above 1 KiB tests `split`. The check makes malformed frames from them.
/// - `rejected` are frames that the protocol must reject.
/// - `client(frame)` reads a frame of the server as a client does. It returns what `read` does.
///   Pass one if your clients and your server send frames of different formats, or if `read`
///   rejects what only the server sends.
///
/// The check cannot report a call that does not return. Run it with sanitizers, which report each
/// byte that is read outside of a frame.
/// Errors:     the fault.   Throws: what the document, `make` and `client` throw, and
///             std::bad_alloc.
/// Complexity: `options.mutations` calls of each member for each frame.
template <class Make, DocumentLike D, class Client = detail::SameFormat>
[[nodiscard]] std::optional<RoomProtocolFault> room_protocol(
    Make make, const D& empty, std::span<const ClientFrame> frames,
    std::span<const Bytes> rejected = {}, Client client = {},
    const RoomProtocolOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return detail::RoomProtocolChecker<Make, D, Client>{make, empty, client,
                                                            Random{options.seed}, options.allocated}
            .run(frames, rejected, options.mutations);
    } else {
        static_assert(!sizeof(Make),
                      "check::room_protocol: make must be callable and return a new protocol: [] { "
                      "return Mine{}; }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
