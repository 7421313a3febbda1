// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_protocol_rule.hpp
/// check::RoomProtocolRule: the rules for a protocol of rooms that the compiler cannot check.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t
#include <string>   // std::string

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI {
namespace check {

/// The rules for a protocol that the compiler cannot check.
///
/// RoomProtocolLike explains them.
enum class RoomProtocolRule : std::uint8_t {
    throws_nothing,
    reads_its_frames,
    rejects_what_is_wrong,
    reads_only_the_frame,
    remembers_nothing,
    views_stay_valid,
    payload_fits_into_the_frame,
    reads_kinds_of_clients,
    errors_end_the_client,
    allocates_little,
    payload_is_for_the_room,
    address_begins_the_frame,
    address_is_short,
    address_is_kept,
    own_frames_have_no_address,
    finds_the_room_id,
    writes_the_same,
    frames_are_bounded,
    kinds_differ,
    client_reads_each_frame,
    client_has_the_document,
    disjoint_is_reliable
};

}  // namespace check

namespace detail {

/// A rule as a sentence, and the change that makes a protocol follow it.
struct RoomProtocolText {
    const char* sentence;
    const char* cure;
};
/// Row `i` has the texts of rule `i`.
inline constexpr RoomProtocolText room_protocol_texts[] = {
    {"no call throws, whatever the frame", "return an error for bytes that cannot be read"},
    {"read and room_id return what the client has sent", "compare them with the frame's format"},
    {"read or address returns an error for each frame that must be rejected",
     "check the whole frame"},
    {"address, room_id and read depend on the bytes of the frame alone",
     "compare each length with the bytes that are left"},
    {"no frame changes how a later frame is read or written", "keep no state in the protocol"},
    {"the payload, the version and the room id are bytes of the frame, or of the result",
     "return views of the frame, or a result that owns its bytes"},
    {"the payload and the version together are not longer than the frame",
     "reject the frame: the limits of RoomOptions count the bytes of frames"},
    {"read returns a kind that clients send, and a version only with a token",
     "return unknown_message for other kinds"},
    {"the close code of an error is not 1000, 1001 or 1013, after which clients repeat the frame",
     "return unknown_message or malformed_frame"},
    {"reading allocates at most 64 bytes for each byte of the frame, and 4 KiB more",
     "reserve no memory for a count before the bytes are there"},
    {"the document or the awareness of the room accepts the payload of each frame",
     "return the payload alone, without its length or type"},
    {"address returns the bytes at the beginning of the frame",
     "return `frame.first(n)` with an `n` that is at most the size of the frame"},
    {"an address has at most 256 bytes", "use shorter addresses: longer ones close the client"},
    {"address returns the same address before each frame that write returns",
     "let the address contain its own length, or its end"},
    {"pings and pongs have no address, and all other frames of clients have one",
     "return an empty address for pings and pongs only"},
    {"room_id returns a valid room id for the address of each frame",
     "return 1 to 100 bytes of UTF-8 without control characters"},
    {"write and split return the same for the same message, also in another object of the type",
     "use the arguments alone: clients of the same type share frames"},
    {"frames and pieces have at most 4 bytes for each byte of the payload, and 1 KiB more",
     "write the payload once, in a shorter form"},
    {"messages of different kinds have different frames", "write the kind into each frame"},
    {"a client reads each frame as the message that was written",
     "let write and read use the same format, or pass the reader of your client"},
    {"a client that applies what it reads has the document of the room",
     "let split return pieces that together are equivalent to the update"},
    {"disjoint is symmetric, and false for empty state vectors and for a common author",
     "return true only if both state vectors have authors, and none in common"}};

/// Returns the texts of a rule; null if there is no such rule.
[[nodiscard]] constexpr const RoomProtocolText* text_of(check::RoomProtocolRule rule) noexcept {
    const auto i = static_cast<std::size_t>(rule);
    const bool known = i < sizeof room_protocol_texts / sizeof room_protocol_texts[0];
    return known ? &room_protocol_texts[i] : nullptr;
}

}  // namespace detail

namespace check {

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(RoomProtocolRule rule) noexcept {
    const detail::RoomProtocolText* const text = detail::text_of(rule);
    return text != nullptr ? text->sentence : "unknown";
}

/// A fault that check::room_protocol found in a protocol.
struct RoomProtocolFault {
    /// The rule that is broken.
    RoomProtocolRule rule{};
    /// The frame that was read or written, or the argument of the call. The same protocol breaks
    /// the rule with these bytes again.
    Bytes bytes{};
};

/// Returns the rule, the first 64 bytes of the frame as hexadecimal digits, and what to change.
[[nodiscard]] inline std::string to_string(const RoomProtocolFault& fault) {
    constexpr std::size_t shown_max = 64;
    constexpr char digits[] = "0123456789abcdef";
    std::string text = std::string{"the protocol breaks the rule '"} + to_string(fault.rule) +
                       "' with " + std::to_string(fault.bytes.size()) + " bytes";
    for (std::size_t i = 0; i < fault.bytes.size() && i < shown_max; ++i) {
        const auto byte = std::to_integer<unsigned>(fault.bytes[i]);
        text += i == 0 ? ": " : "";
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    if (fault.bytes.size() > shown_max) text += "...";
    const detail::RoomProtocolText* const known = detail::text_of(fault.rule);
    return known != nullptr ? text + "; " + known->cure : text;
}

}  // namespace check

}}  // namespace belay
