// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_awareness.hpp
/// RoomAwareness: the awareness states of a room's clients, and their owners.
#pragma once

#include <algorithm>    // std::lower_bound, std::sort
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <iterator>     // std::next
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange
#include <vector>       // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/room/detail/limited_error.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/detail/json_text.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The client and the user of an awareness message.
struct AwarenessSource {
    std::uint64_t client;  ///< never 0
    std::string_view user;
};

/// How far a client has received the awareness. It has all changes up to `seen`. It also has the
/// later changes of all ids below `from`, up to `until` at least.
struct AwarenessCursor {
    std::uint64_t seen = 0;  ///< 0: nothing yet
    std::uint64_t until = 0;
    std::uint64_t from = 0;  ///< 0: none of them
};

/// The states of a room's clients: an id, a clock that rises, and JSON or null.
///
/// An id belongs to the client that sent it first. A newer clock from another client of the same
/// user takes it over; one from another user is skipped. States that a client repeats of others (in
/// an answer to a query) and nulls for others are skipped, too. A removed id is remembered for
/// awareness_within, so that no late message restores it, and no other user takes it meanwhile. If
/// there are too many ids, the removed ones of the users who have most of them are forgotten.
///
/// Thread safety: one thread.
/// Source:        y-protocols:awareness.js.
class RoomAwareness {
public:
    /// The options must outlive it.
    explicit RoomAwareness(const RoomOptions& options) noexcept : options_{&options} {}

    /// Processes a message of a client.   Errors: malformed_frame, frame_too_large: the client must
    /// be closed.
    /// Complexity: O(m log n), and reads the JSON.
    [[nodiscard]] LimitedError receive(AwarenessSource from, BytesView message, Instant now) {
        LimitedError error = read(message);
        if (!error) {
            for (const State& s : states_) take(from, s, now);
            // Checked after the whole message, because one id may release what another one takes.
            if (owned_by(from.client).bytes > options_->awareness_bytes_max)
                error = {RoomErrc::frame_too_large, "awareness_bytes_max"};
        }
        // A room lives long, and large messages are rare.
        if (states_.capacity() > states_kept_max) states_ = std::vector<State>{};
        return error;
    }

    /// Removes the states of a closed client.   Complexity: O(n).
    void close(std::uint64_t client, Instant now) {
        for (auto& [id, entry] : entries_) {
            if (entry.client == client) remove(entry, now);
        }
    }
    /// Removes the states of a client that stays in the room. The client keeps its ids, as if it
    /// had removed its states itself.   Returns: whether it had any.   Complexity: O(n).
    bool hide(std::uint64_t client, Instant now) {
        const std::uint64_t before = version_;
        for (auto& [id, entry] : entries_)
            if (entry.client == client) end(entry, client, now);
        return version_ != before;
    }
    /// Changes the user of a client.   Complexity: O(n).
    void set_user(std::uint64_t client, std::string_view user) {
        for (auto& [id, entry] : entries_) {
            if (entry.client == client) entry.user = user;
        }
    }
    /// Removes states that were not renewed within awareness_within, and forgets ids that were
    /// removed that long ago.
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
            } else if (entry.version > sent_.seen) {
                ++it;
            } else {
                assign(entry, 0, {});
                it = entries_.erase(it);
            }
        }
    }
    /// Returns when the next state expires.
    [[nodiscard]] Instant deadline() const noexcept { return expires_at_; }

    /// Returns all states of each of these clients as a message, in the order of the clients; empty
    /// if a client has none. Ends before the client whose states would exceed about `bytes_max`,
    /// but not before the first one. All clients take one pass over the states. Tests may count how
    /// many states it visits.
    /// Pre: each client is named once.
    /// Complexity: O(n log m) for m clients.
    [[nodiscard]] std::vector<Bytes> states_of(const std::vector<std::uint64_t>& clients,
                                               std::size_t bytes_max,
                                               std::size_t* visited = nullptr) const {
        struct Message {
            std::uint64_t client;
            std::size_t place;  ///< in the result
            std::size_t count;
        };
        std::vector<Message> messages;
        std::size_t bytes = 0;
        for (const std::uint64_t client : clients) {
            const Owned has = owned_by(client);
            bytes += has.bytes + has.ids * entry_bytes;
            if (!messages.empty() && bytes > bytes_max) break;
            messages.push_back({client, messages.size(), 0});
        }
        std::sort(messages.begin(), messages.end(),
                  [](const Message& a, const Message& b) { return a.client < b.client; });
        std::vector<Bytes> states(messages.size());
        if (messages.empty()) return states;
        for (const auto& [id, entry] : entries_) {
            if (visited != nullptr) ++*visited;
            const auto of = std::lower_bound(
                messages.begin(), messages.end(), entry.client,
                [](const Message& m, std::uint64_t client) { return m.client < client; });
            if (of == messages.end() || of->client != entry.client) continue;
            put(id, entry, states[of->place]);
            ++of->count;
        }
        for (const Message& message : messages) {
            Bytes& body = states[message.place];
            if (message.count != 0) body = counted(message.count, body);
        }
        return states;
    }
    /// Rises with each change.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool changed() const noexcept { return sent_.seen != version_; }
    /// Queues the changes for sending.   Returns: false if there are none, or if they are queued.
    [[nodiscard]] bool queue() noexcept { return changed() && !std::exchange(queued_, true); }
    void unqueue() noexcept { queued_ = false; }
    /// How far states were sent to all clients that could accept them.
    [[nodiscard]] const AwarenessCursor& sent() const noexcept { return sent_; }
    /// Returns the next piece of changes for all clients, their authors included.
    [[nodiscard]] Bytes take_changes(std::size_t bytes_max) { return piece(sent_, bytes_max); }
    /// Returns the next piece after `walk`, removals included: a message whose frame is at most
    /// `bytes_max` long, unless one state is longer; empty if there is nothing more.
    /// Complexity: O(n).
    [[nodiscard]] Bytes piece(AwarenessCursor& walk, std::size_t bytes_max) const {
        Bytes body;
        std::size_t count = 0;
        while (count == 0 && walk.seen != version_) {
            if (walk.from == 0) walk.until = version_;
            auto it = entries_.lower_bound(walk.from);
            for (; it != entries_.end(); ++it) {
                const auto& [id, entry] = *it;
                if (entry.version <= walk.seen) continue;
                const std::size_t size = entry.state.size() + entry_bytes;
                if (count != 0 && body.size() + size + frame_bytes > bytes_max) break;
                put(id, entry, body);
                ++count;
            }
            // In the order of ids, not of age: an id that changes all the time is sent, too.
            if (it == entries_.end()) {
                walk = {.seen = walk.until};
            } else {
                walk.from = it->first;
            }
        }
        return count == 0 ? Bytes{} : counted(count, body);
    }

private:
    struct Entry {
        std::uint64_t clock = 0;
        std::uint64_t client = 0;   ///< 0: of one that is closed
        std::string user{};         ///< of the client
        std::string state{};        ///< JSON; empty: gone
        Instant at{};               ///< of the last renewal, or the end
        std::uint64_t version = 0;  ///< of the room, with its last change
    };
    /// The states that a client has.
    struct Owned {
        std::size_t ids = 0;  ///< removed ones count, because they take memory
        std::size_t bytes = 0;
    };
    struct State {
        std::uint64_t id;
        std::uint64_t clock;
        std::string_view state;
    };

    [[nodiscard]] LimitedError read(BytesView message) {
        states_.clear();
        yjs::Lib0Reader in{message};
        const std::uint64_t count = in.varuint();
        if (count > entries_max())
            return {RoomErrc::frame_too_large, "awareness_ids_per_client_max"};
        for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
            State s{};
            s.id = in.varuint();
            s.clock = in.varuint();
            s.state = in.varstring();
            if (in.failed()) break;
            // One more must follow each, for the end.
            if (s.clock >= yjs::varuint_max) return RoomErrc::malformed_frame;
            if (s.state.size() > options_->awareness_bytes_max)
                return {RoomErrc::frame_too_large, "awareness_bytes_max"};
            if (JsonText::of(s.state, json_nesting_max) != JsonText::Verdict::json)
                return RoomErrc::malformed_frame;
            states_.push_back(s);
        }
        return in.failed() || !in.at_end() ? RoomErrc::malformed_frame : std::error_code{};
    }

    void take(AwarenessSource from, const State& state, Instant now) {
        const bool gone = state.state == "null";
        const auto found = entries_.find(state.id);
        if (found == entries_.end()) {
            if (gone || !takes_another(from.client, state)) return;
            if (entries_.size() >= entries_max() && !make_space()) return;
            return set(entries_[state.id], from, state, now);
        }
        Entry& entry = found->second;
        if (entry.client == from.client) {
            entry.user = from.user;
            const bool ends = gone && state.clock == entry.clock && !entry.state.empty();
            if (state.clock <= entry.clock && !ends) return;
        } else {
            if (state.clock <= entry.clock || gone) return;
            // Also for a removed id: a user that dials again finds the id as it was.
            if (entry.user != from.user) return;
            if (!takes_another(from.client, state)) return;
        }
        set(entry, from, state, now);
    }
    [[nodiscard]] Owned owned_by(std::uint64_t client) const {
        const auto found = owned_.find(client);
        return found != owned_.end() ? found->second : Owned{};
    }
    /// Whether a client may have one more id. A client that only repeats the states of others does
    /// not reach this limit, and is not closed.
    [[nodiscard]] bool takes_another(std::uint64_t client, const State& state) const {
        const Owned has = owned_by(client);
        return has.ids < options_->awareness_ids_per_client_max &&
               has.bytes + state.state.size() <= options_->awareness_bytes_max;
    }
    /// Forgets the removed ids of the users who have most of them: a user that connects again and
    /// again must not block the ids of others. All at once, because this takes long.
    /// Returns: whether there were any.
    bool make_space() {
        std::map<std::string, std::size_t> removed;
        std::size_t most = 0;
        for (const auto& [id, entry] : entries_)
            if (is_forgettable(entry)) most = larger(most, ++removed[entry.user]);
        if (most == 0) return false;
        for (auto it = entries_.begin(); it != entries_.end();) {
            const Entry& entry = it->second;
            const bool ends = is_forgettable(entry) && removed[entry.user] > most / 2;
            it = ends ? entries_.erase(it) : std::next(it);
        }
        return true;
    }
    /// Whether the id is gone, and all clients were notified of it.
    [[nodiscard]] bool is_forgettable(const Entry& entry) const noexcept {
        return entry.client == 0 && entry.state.empty() && entry.version <= sent_.seen;
    }
    /// Changes the owner or the state of an entry.
    void assign(Entry& entry, std::uint64_t client, std::string_view state) {
        if (client != 0) {
            Owned& has = owned_[client];
            ++has.ids;
            has.bytes += state.size();
        }
        if (entry.client != 0) {
            const auto had = owned_.find(entry.client);
            had->second.bytes -= entry.state.size();
            if (--had->second.ids == 0) owned_.erase(had);
        }
        entry.client = client;
        entry.state = state;
    }
    /// The most entries, removed ones included.
    [[nodiscard]] std::size_t entries_max() const noexcept {
        const std::size_t each = 2 * smaller(options_->awareness_ids_per_client_max, no_limit / 2);
        const std::size_t clients = smaller(options_->clients_per_room_max, no_limit / each);
        return clients * each;
    }
    void set(Entry& entry, AwarenessSource from, const State& state, Instant now) {
        const bool gone = state.state == "null";
        entry.clock = state.clock;
        entry.user = from.user;
        assign(entry, from.client, gone ? std::string_view{} : state.state);
        note(entry, now);
    }
    void remove(Entry& entry, Instant now) { end(entry, 0, now); }
    /// Ends a state. `client` is the owner of the id from now on; 0: there is none.
    void end(Entry& entry, std::uint64_t client, Instant now) {
        const bool gone = entry.state.empty();
        assign(entry, client, {});
        if (gone) return;
        ++entry.clock;
        note(entry, now);
    }
    void note(Entry& entry, Instant now) {
        entry.at = now;
        entry.version = ++version_;
        expires_at_ = smaller(expires_at_, after(now, options_->awareness_within));
    }
    [[nodiscard]] static Bytes counted(std::size_t count, const Bytes& body) {
        Bytes out;
        out.reserve(body.size() + 4);
        yjs::append_varuint(out, count);
        out.insert(out.end(), body.begin(), body.end());
        return out;
    }
    static void put(std::uint64_t id, const Entry& entry, Bytes& out) {
        yjs::append_varuint(out, id);
        yjs::append_varuint(out, entry.clock);
        yjs::append_varbytes(out, as_bytes(entry.state.empty() ? "null" : entry.state));
    }

    static constexpr std::size_t json_nesting_max = 64;
    /// The capacity that is kept for the entries of a message.
    static constexpr std::size_t states_kept_max = 16;
    /// The bytes of an entry without its state: the id, the clock and a length.
    static constexpr std::size_t entry_bytes = 24;
    /// The bytes of a frame without its entries: their number, and the head of the frame.
    static constexpr std::size_t frame_bytes = 16;

    const RoomOptions* options_;
    std::map<std::uint64_t, Entry> entries_;
    std::map<std::uint64_t, Owned> owned_;  ///< by client
    std::vector<State> states_;
    std::uint64_t version_ = 0;  ///< of the last change
    AwarenessCursor sent_{};
    Instant expires_at_ = never;
    bool queued_ = false;
};

}}}  // namespace belay::detail
