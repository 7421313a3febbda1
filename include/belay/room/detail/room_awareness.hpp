// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_awareness.hpp
/// RoomAwareness: who is in a room, as its clients say, and whose word counts.
#pragma once

#include <algorithm>    // std::find
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/room/detail/json_text.hpp>
#include <belay/room/lib0.hpp>
#include <belay/room/room_options.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Who says something, and for whom.
struct AwarenessSpeaker {
    std::uint64_t socket;  ///< never 0
    std::string_view user;
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

    /// Takes what a client says.   Errors: malformed_frame, frame_too_large; nothing is changed.
    /// Complexity: O(m + n log m), and reads the JSON.
    [[nodiscard]] std::error_code hear(AwarenessSpeaker from, BytesView said, Instant now) {
        if (const std::error_code e = read(said)) return e;
        owned_.reset();
        for (const Said& s : said_) take(from, s, now);
        return {};
    }

    /// A socket is closed: whom it has announced is gone.   Complexity: O(n).
    void close(std::uint64_t socket, Instant now) {
        for (auto& [id, entry] : entries_) {
            if (entry.socket == socket) remove(id, entry, now);
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
                remove(id, entry, now);
                ++it;
            } else if (std::find(changed_.begin(), changed_.end(), id) != changed_.end()) {
                ++it;
            } else {
                it = entries_.erase(it);
            }
        }
    }
    /// Of the next end.
    [[nodiscard]] Instant deadline() const noexcept { return expires_at_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool changed() const noexcept { return !changed_.empty(); }
    /// What has changed since the last call, for all clients, its authors included.
    [[nodiscard]] Bytes take_changes() {
        Bytes out;
        yjs::append_varuint(out, changed_.size());
        for (const std::uint64_t id : changed_) put(id, entries_.find(id)->second, out);
        changed_.clear();
        return out;
    }
    /// Everybody who is here; empty if nobody is.
    [[nodiscard]] Bytes all() const {
        Bytes out;
        std::size_t count = 0;
        for (const auto& [id, entry] : entries_) count += entry.state.empty() ? 0U : 1U;
        if (count == 0) return out;
        yjs::append_varuint(out, count);
        for (const auto& [id, entry] : entries_) {
            if (!entry.state.empty()) put(id, entry, out);
        }
        return out;
    }

private:
    struct Entry {
        std::uint64_t clock = 0;
        std::uint64_t socket = 0;  ///< 0: of one that is closed
        std::string user{};        ///< of the socket
        std::string state{};       ///< JSON; empty: gone
        Instant at{};              ///< of the last renewal, or the end
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
            if (gone || !takes_another(from.socket)) return;
            return set(said.id, entries_[said.id], from, said, now);
        }
        Entry& entry = found->second;
        if (entry.socket == from.socket) {
            const bool ends = gone && said.clock == entry.clock && !entry.state.empty();
            if (said.clock <= entry.clock && !ends) return;
        } else {
            if (said.clock <= entry.clock || gone) return;
            // Also of one that has just gone: who dials again finds their id as they left it.
            if (entry.user != from.user) return;
            if (!takes_another(from.socket)) return;
        }
        set(said.id, entry, from, said, now);
    }
    /// Whether a socket may have one id more, which it has then.
    [[nodiscard]] bool takes_another(std::uint64_t socket) {
        // Those that are gone count too, for the memory that they take.
        if (!owned_) {
            // Counted once for all that it says, which may be as much as all others together.
            owned_ = 0;
            for (const auto& [id, entry] : entries_) *owned_ += entry.socket == socket ? 1U : 0U;
        }
        if (*owned_ >= options_->awareness_ids_per_client_max || entries_.size() >= entries_max())
            return false;
        ++*owned_;
        return true;
    }
    /// Of those that are here, and of those that have just gone.
    [[nodiscard]] std::size_t entries_max() const noexcept {
        const std::size_t each = 2 * options_->awareness_ids_per_client_max;
        const std::size_t clients = smaller(options_->clients_per_room_max, no_limit / each);
        return clients * each;
    }
    void set(std::uint64_t id, Entry& entry, AwarenessSpeaker from, const Said& said, Instant now) {
        const bool gone = said.state == "null";
        entry.clock = said.clock;
        entry.socket = from.socket;
        entry.user = from.user;
        entry.state = gone ? std::string_view{} : said.state;
        entry.at = now;
        note(id, now);
    }
    void remove(std::uint64_t id, Entry& entry, Instant now) {
        entry.socket = 0;
        if (entry.state.empty()) return;
        entry.state.clear();
        ++entry.clock;
        entry.at = now;
        note(id, now);
    }
    void note(std::uint64_t id, Instant now) {
        if (std::find(changed_.begin(), changed_.end(), id) == changed_.end())
            changed_.push_back(id);
        expires_at_ = smaller(expires_at_, after(now, options_->awareness_within));
    }
    static void put(std::uint64_t id, const Entry& entry, Bytes& out) {
        yjs::append_varuint(out, id);
        yjs::append_varuint(out, entry.clock);
        yjs::append_varbytes(out, as_bytes(entry.state.empty() ? "null" : entry.state));
    }

    static constexpr std::size_t json_nesting_max = 64;

    const RoomOptions* options_;
    std::map<std::uint64_t, Entry> entries_;
    std::vector<std::uint64_t> changed_;
    std::vector<Said> said_;
    std::optional<std::size_t> owned_;  ///< ids of whoever is being heard, once they are counted
    Instant expires_at_ = never;
};

}  // namespace belay::inline BELAY_ABI::detail
