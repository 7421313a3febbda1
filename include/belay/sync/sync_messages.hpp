// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_messages.hpp
/// SyncMessages: the messages between a ReplicaServer and its devices; the codec of a Requests.
#pragma once

#include <cstdint>   // std::uint8_t, std::uint64_t
#include <optional>  // std::optional

#include <belay/sync/detail/sync_bytes.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

enum class SyncMessageKind : std::uint8_t {
    asks_changes = 1,
    sends_batch = 2,
    page = 3,
    result = 4,
    notice = 5
};

/// The first 12 bytes of each message: tag, version, kind, 0, id of the question (8 bytes).
struct SyncHeader {
    static constexpr std::size_t size = 12;
    static constexpr std::byte tag{0xEB};
    static constexpr std::byte version{1};

    static void start(Bytes& into, SyncMessageKind kind, std::uint64_t id = 0) {
        into.assign({tag, version, static_cast<std::byte>(kind), std::byte{0}});
        append_field(into, id);
    }
    /// Returns: nothing if the bytes are no message of this version.
    [[nodiscard]] static std::optional<SyncMessageKind> kind_of(BytesView message) noexcept {
        if (message.size() < size || message[0] != tag || message[1] != version) return {};
        const auto kind = static_cast<unsigned>(message[2]);
        const auto last = static_cast<unsigned>(SyncMessageKind::notice);
        if (kind == 0 || kind > last) return std::nullopt;
        return static_cast<SyncMessageKind>(kind);
    }
    /// Pre: the message has a header.
    [[nodiscard]] static std::uint64_t id_of(BytesView message) noexcept {
        return load_le<std::uint64_t>(message.data() + 4);
    }
};

}  // namespace detail

namespace part {

/// The codec of a Requests that connects a device to a part::ReplicaServer.
///
///     Requests requests{transport, policy, part::SyncMessages{}};
///
/// Thread safety: no state.
struct SyncMessages {
    /// Writes the id by which Requests finds the answer into a question of a RemoteSyncServer.
    static void put_id(Bytes& question, std::uint64_t id) noexcept {
        if (question.size() >= detail::SyncHeader::size) store_le(question.data() + 4, id);
    }
    /// Returns the id of the question that a message answers; nothing if it is no answer.
    [[nodiscard]] static std::optional<std::uint64_t> id_of(const Bytes& message) noexcept {
        const auto kind = detail::SyncHeader::kind_of(message);
        const bool answers =
            kind == detail::SyncMessageKind::page || kind == detail::SyncMessageKind::result;
        if (!answers) return std::nullopt;
        return detail::SyncHeader::id_of(message);
    }
    /// Returns the message by which a server notifies a device of changes. A Requests passes it to
    /// the hook `on_message` of its observer.
    [[nodiscard]] static Bytes notice() {
        Bytes message;
        detail::SyncHeader::start(message, detail::SyncMessageKind::notice);
        return message;
    }
    /// Returns whether a message is a notice(), after which a device should call sync().
    [[nodiscard]] static bool is_notice(BytesView message) noexcept {
        return detail::SyncHeader::kind_of(message) == detail::SyncMessageKind::notice;
    }
};

}  // namespace part

}}  // namespace belay
