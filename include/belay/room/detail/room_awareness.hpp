// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_awareness.hpp
/// RoomAwareness: who is in a room, as its clients say, and whose word counts.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/detail/json_text.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Who says something, and for whom.
struct AwarenessSpeaker {
    std::uint64_t socket;  ///< never 0
    std::string_view user;
};

/// How far somebody has been told who is here: all changes up to `seen`, and of those after them
/// the ids before `from`, as they were at `until` or later.
struct AwarenessWalk {
    std::uint64_t seen = 0;  ///< 0: nothing yet
    std::uint64_t until = 0;
    std::uint64_t from = 0;  ///< 0: none of them
};

/// The states of a room's clients: an id, a clock that rises, and JSON or null.
///
/// An id belongs to the socket that said it first; a newer clock from another socket of the same
/// user takes it over, and from anybody else's is passed over. So is what a client repeats of
/// others, which an answer to a query does, and nulls for others. What has gone is remembered a
/// while, so that nobody's late word brings it back, and nobody else has it meanwhile.
///
/// Thread safety: one thread.
/// Source:        y-protocols:awareness.js.
class RoomAwareness {
public:
    /// The options must outlive it.
    explicit RoomAwareness(const RoomOptions& options) noexcept : options_{&options} {}

    /// Takes what a client says.   Errors: malformed_frame, frame_too_large: its socket must be
    /// closed.
    /// Complexity: O(m log n), and reads the JSON.
    [[nodiscard]] std::error_code hear(AwarenessSpeaker from, BytesView said, Instant now) {
        std::error_code error = read(said);
        if (!error) {
            for (const Said& s : said_) take(from, s, now);
            // By what it has had before; when it has said all, for one id may give up what another
            // has.
            if (owned_by(from.socket).bytes > options_->awareness_bytes_max)
                error = RoomErrc::frame_too_large;
        }
        // A room is here for long, and few say so much at once.
        if (said_.capacity() > said_kept_max) said_ = std::vector<Said>{};
        return error;
    }

    /// A socket is closed: whom it has announced is gone.   Complexity: O(n).
    void close(std::uint64_t socket, Instant now) {
        for (auto& [id, entry] : entries_) {
            if (entry.socket == socket) remove(entry, now);
        }
    }
    /// Of a socket: it has another user.   Complexity: O(n).
    void hand_over(std::uint64_t socket, std::string_view user) {
        for (auto& [id, entry] : entries_) {
            if (entry.socket == socket) entry.user = user;
        }
    }
    /// Removes who was not renewed in time, and forgets who is gone for as long.
    /// Complexity: O(n) when something is due.
    void expire(Instant now) {
        if (now < expires_at_) return;
        expires_at_ = never;
        for (auto it = entries_.begin(); it != entries_.end();) {
            auto& [id, entry] = *it;
            const Instant due = after(entry.at, options_->awareness_within);
            if (due > now) {
                expires_at_ = smaller(expires_at_, due);
                ++it;
            } else if (!entry.state.empty()) {
                remove(entry, now);
                ++it;
            } else if (entry.version > told_.seen) {
                ++it;
            } else {
                assign(entry, 0, {});
                it = entries_.erase(it);
            }
        }
    }
    /// Of the next end.
    [[nodiscard]] Instant deadline() const noexcept { return expires_at_; }

    /// All that a socket has announced, as a message; empty if it has nothing.
    /// Complexity: O(n).
    [[nodiscard]] Bytes said_by(std::uint64_t socket) const {
        Bytes said;
        std::size_t count = 0;
        for (const auto& [id, entry] : entries_) {
            if (entry.socket != socket) continue;
            put(id, entry, said);
            ++count;
        }
        return count == 0 ? Bytes{} : counted(count, said);
    }
    /// Rises with each change.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool changed() const noexcept { return told_.seen != version_; }
    /// How far all clients have been told that could take it.
    [[nodiscard]] const AwarenessWalk& told() const noexcept { return told_; }
    /// What has changed since, for all clients, its authors included, as `piece` gives it.
    [[nodiscard]] Bytes take_changes(std::size_t bytes_max) { return piece(told_, bytes_max); }
    /// The next that somebody has not been told, ends included: a message whose frame is not
    /// longer than `bytes_max`, unless it is one state that is; empty if there is nothing more.
    /// Complexity: O(n).
    [[nodiscard]] Bytes piece(AwarenessWalk& walk, std::size_t bytes_max) const {
        Bytes said;
        std::size_t count = 0;
        while (count == 0 && walk.seen != version_) {
            if (walk.from == 0) walk.until = version_;
            auto it = entries_.lower_bound(walk.from);
            for (; it != entries_.end(); ++it) {
                const auto& [id, entry] = *it;
                if (entry.version <= walk.seen) continue;
                const std::size_t size = entry.state.size() + entry_bytes;
                if (count != 0 && said.size() + size + frame_bytes > bytes_max) break;
                put(id, entry, said);
                ++count;
            }
            // By ids and not by age: who changes all the time has a turn, too.
            if (it == entries_.end()) {
                walk = {.seen = walk.until};
            } else {
                walk.from = it->first;
            }
        }
        return count == 0 ? Bytes{} : counted(count, said);
    }

private:
    struct Entry {
        std::uint64_t clock = 0;
        std::uint64_t socket = 0;   ///< 0: of one that is closed
        std::string user{};         ///< of the socket
        std::string state{};        ///< JSON; empty: gone
        Instant at{};               ///< of the last renewal, or the end
        std::uint64_t version = 0;  ///< of the room, with its last change
    };
    /// What a socket has.
    struct Owned {
        std::size_t ids = 0;  ///< those that are gone, too, for the memory that they take
        std::size_t bytes = 0;
    };
    struct Said {
        std::uint64_t id;
        std::uint64_t clock;
        std::string_view state;
    };

    [[nodiscard]] std::error_code read(BytesView said) {
        said_.clear();
        yjs::Lib0Reader in{said};
        const std::uint64_t count = in.varuint();
        if (count > entries_max()) return RoomErrc::frame_too_large;
        for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
            Said s{};
            s.id = in.varuint();
            s.clock = in.varuint();
            s.state = in.varstring();
            if (in.failed()) break;
            // One more must follow each, for the end.
            if (s.clock >= yjs::varuint_max) return RoomErrc::malformed_frame;
            if (s.state.size() > options_->awareness_bytes_max) return RoomErrc::frame_too_large;
            if (JsonText::of(s.state, json_nesting_max) != JsonText::Verdict::json)
                return RoomErrc::malformed_frame;
            said_.push_back(s);
        }
        return in.failed() || !in.at_end() ? RoomErrc::malformed_frame : std::error_code{};
    }

    void take(AwarenessSpeaker from, const Said& said, Instant now) {
        const bool gone = said.state == "null";
        const auto found = entries_.find(said.id);
        if (found == entries_.end()) {
            if (gone || !takes_another(from.socket, said)) return;
            return set(entries_[said.id], from, said, now);
        }
        Entry& entry = found->second;
        if (entry.socket == from.socket) {
            entry.user = from.user;
            const bool ends = gone && said.clock == entry.clock && !entry.state.empty();
            if (said.clock <= entry.clock && !ends) return;
        } else {
            if (said.clock <= entry.clock || gone) return;
            // Also of one that has just gone: who dials again finds their id as they left it.
            if (entry.user != from.user) return;
            if (!takes_another(from.socket, said)) return;
        }
        set(entry, from, said, now);
    }
    [[nodiscard]] Owned owned_by(std::uint64_t socket) const {
        const auto found = owned_.find(socket);
        return found != owned_.end() ? found->second : Owned{};
    }
    /// Whether a socket may have one id more. Who repeats others is not closed for it.
    [[nodiscard]] bool takes_another(std::uint64_t socket, const Said& said) const {
        const Owned has = owned_by(socket);
        return has.ids < options_->awareness_ids_per_client_max &&
               has.bytes + said.state.size() <= options_->awareness_bytes_max &&
               entries_.size() < entries_max();
    }
    /// An entry has another owner, or state.
    void assign(Entry& entry, std::uint64_t socket, std::string_view state) {
        if (socket != 0) {
            Owned& has = owned_[socket];
            ++has.ids;
            has.bytes += state.size();
        }
        if (entry.socket != 0) {
            const auto had = owned_.find(entry.socket);
            had->second.bytes -= entry.state.size();
            if (--had->second.ids == 0) owned_.erase(had);
        }
        entry.socket = socket;
        entry.state = state;
    }
    /// Of those that are here, and of those that have just gone.
    [[nodiscard]] std::size_t entries_max() const noexcept {
        const std::size_t each = 2 * smaller(options_->awareness_ids_per_client_max, no_limit / 2);
        const std::size_t clients = smaller(options_->clients_per_room_max, no_limit / each);
        return clients * each;
    }
    void set(Entry& entry, AwarenessSpeaker from, const Said& said, Instant now) {
        const bool gone = said.state == "null";
        entry.clock = said.clock;
        entry.user = from.user;
        assign(entry, from.socket, gone ? std::string_view{} : said.state);
        note(entry, now);
    }
    void remove(Entry& entry, Instant now) {
        const bool gone = entry.state.empty();
        assign(entry, 0, {});
        if (gone) return;
        ++entry.clock;
        note(entry, now);
    }
    void note(Entry& entry, Instant now) {
        entry.at = now;
        entry.version = ++version_;
        expires_at_ = smaller(expires_at_, after(now, options_->awareness_within));
    }
    [[nodiscard]] static Bytes counted(std::size_t count, const Bytes& said) {
        Bytes out;
        out.reserve(said.size() + 4);
        yjs::append_varuint(out, count);
        out.insert(out.end(), said.begin(), said.end());
        return out;
    }
    static void put(std::uint64_t id, const Entry& entry, Bytes& out) {
        yjs::append_varuint(out, id);
        yjs::append_varuint(out, entry.clock);
        yjs::append_varbytes(out, as_bytes(entry.state.empty() ? "null" : entry.state));
    }

    static constexpr std::size_t json_nesting_max = 64;
    /// Entries of a message that there stays room for.
    static constexpr std::size_t said_kept_max = 16;
    /// Beside a state, or "null": the id, the clock and a length.
    static constexpr std::size_t entry_bytes = 24;
    /// Beside the entries: their number, and the head of a frame.
    static constexpr std::size_t frame_bytes = 16;

    const RoomOptions* options_;
    std::map<std::uint64_t, Entry> entries_;
    std::map<std::uint64_t, Owned> owned_;  ///< of sockets that have something
    std::vector<Said> said_;
    std::uint64_t version_ = 0;  ///< of the last change
    AwarenessWalk told_{};
    Instant expires_at_ = never;
};

}}}  // namespace belay::detail
