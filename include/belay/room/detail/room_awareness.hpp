// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_awareness.hpp
/// RoomAwareness: the awareness states of a room's clients, and their owners.
/// LimitedError, is_document_full: why a message of a client is rejected.
#pragma once

#include <algorithm>     // std::lower_bound, std::sort
#include <chrono>        // std::chrono::milliseconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <iterator>      // std::next
#include <map>           // std::map
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange
#include <vector>        // std::vector

#include <belay/core/detail/json_text.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/lib0.hpp>
#include <belay/yjs/yjs_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Why a message of a client is rejected.
struct LimitedError {
    LimitedError() = default;
    LimitedError(std::error_code error, std::string_view option = {}) noexcept
        : code{error}, limit{option} {}
    LimitedError(RoomErrc error, std::string_view option = {}) noexcept
        : code{error}, limit{option} {}

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }

    std::error_code code{};
    std::string_view limit{};  ///< a member of RoomOptions, as a text that stays valid; or empty
};

/// Whether the bytes of an update are damaged.
[[nodiscard]] inline bool is_malformed_update(const std::error_code& error) noexcept {
    return error == RoomErrc::malformed_update || error == YjsErrc::malformed_update;
}

/// Whether the document would exceed its limit.
[[nodiscard]] inline bool is_document_full(const std::error_code& error) noexcept {
    return error == RoomErrc::document_full || error == YjsErrc::document_full;
}

/// The client and the user of an awareness message.
struct AwarenessSource {
    std::uint64_t client;  ///< never 0; the clients of other servers have numbers from 2^63
    std::string_view user;
    /// Whether it is the first message of the connection, in which Yjs's clients send the state of
    /// their own id. Later ones may repeat states of other clients.
    bool first = false;
};

/// How far a client has received the awareness. It has all changes up to `seen`. It also has the
/// later changes of all ids below `from`, up to `until` at least.
struct AwarenessCursor {
    std::uint64_t seen = 0;  ///< 0: nothing yet
    std::uint64_t until = 0;
    std::uint64_t from = 0;  ///< 0: none of them
};

/// When the clocks of awareness are raised.
struct AwarenessLifts {
    /// The minimum time between two lifts: in a storm, each one is for all clients that returned
    /// meanwhile.
    static constexpr Duration every = std::chrono::milliseconds{250};
    /// Other implementations, such as yrs, have clocks of 32 bits.
    static constexpr std::uint64_t clock_max = 0xFFFFFFFF;
    /// How far a first state's clock is raised. The end of the owner's last connection was one more
    /// than its clock, and lifts that it has missed were more.
    static constexpr std::uint64_t first_rise = 8;

    /// A client has joined: a lift is due soon, although the client may show nothing itself.
    void on_joined(Instant now) noexcept { at = smaller(at, after(now, every)); }
    /// A client has returned that may ignore states that it is sent before the next lift.
    void on_returned(Instant now) noexcept {
        returned = all = true;
        at = smaller(at, larger(now, next));
    }

    Instant at = never;
    Instant next = always;  ///< the earliest time of the next one
    bool all = false;       ///< the next one is of all clocks
    bool returned = false;  ///< the client of the last message has returned
};

/// The most awareness ids of one client, removed ones included. Further ids are ignored. A Yjs
/// client has one. A few more are space for pages that show several documents.
inline constexpr std::size_t awareness_ids_max = 8;
/// An awareness state that is not renewed for this long is removed, as by Yjs's clients, which
/// renew theirs every 15 s.
inline constexpr Duration awareness_outdated_after = std::chrono::seconds{30};

/// The states of a room's clients: an id, a clock that rises, and JSON or null.
///
/// An id belongs to the client that sent it first. A newer clock, or the first message, of another
/// client of the same user takes it over; one from another user is skipped. States that a client
/// repeats of others (in an answer to a query) and nulls for others are skipped, too. A removed id
/// is remembered for awareness_outdated_after, so that no late message restores it, and no other
/// user takes it meanwhile. If there are too many ids, the removed ones of the users who have most
/// of them are forgotten.
///
/// A Yjs client drops the states of others when its connection ends, remembers their clocks, and
/// ignores a state whose clock it knows. So the clocks are raised:
/// - that of a client's first state, above those that other clients may know, although this server
///   does not;
/// - those of all states of this server's clients by one, if a client returns that has seen them.
///
/// For this the owner receives `{id, clock - 1, null}` instead of its state. A Yjs client keeps its
/// own state then, raises its clock to `clock`, and sends the state again. Other
/// clients receive a first state with the raised clock after that, or after AwarenessLifts::every.
/// If they received it before the owner did, a later server would begin with a smaller clock.
/// States that the owner sends meanwhile are newer, although their clocks may be smaller.
///
/// Thread safety: one thread.
/// Source:        y-protocols:awareness.js.
class RoomAwareness {
public:
    /// Which clocks a lift has raised.
    enum class Lift : std::uint8_t {
        none,
        held,  ///< those of first states, which all clients are sent
        all
    };

    /// The options must outlive it.
    explicit RoomAwareness(const RoomOptions& options) noexcept : options_{&options} {}

    /// Processes a message of a client.
    /// Errors: malformed_frame, which closes the client; frame_too_large, which does not. Then a
    /// state is too large, and the former one stays. Or the message has more ids than a room may
    /// have, and is ignored.
    /// Complexity: O(m log n), and reads the JSON.
    [[nodiscard]] LimitedError receive(AwarenessSource from, BytesView message, Instant now) {
        lifts_.returned = false;
        LimitedError error = read(message);
        from.first = from.first && states_.size() == 1;
        bool fits = true;
        for (const State& s : states_) fits = take(from, s, now, false) && fits;
        // One id may have released what another one takes.
        if (!std::exchange(fits, true))
            for (const State& s : states_) fits = take(from, s, now, true) && fits;
        if (!fits) error = {RoomErrc::frame_too_large, "awareness_bytes_max"};
        // A room lives long, and large messages are rare.
        if (states_.capacity() > 16) states_ = std::vector<State>{};
        return error;
    }
    [[nodiscard]] AwarenessLifts& lifts() noexcept { return lifts_; }
    /// Raises the clocks of states of this server's clients, if that is due. `returned()`: whether
    /// a client may have returned; no client is sent all states because of this.
    /// Returns: which it raised.   Complexity: O(n) when it is due.
    template <class Returned>
    [[nodiscard]] Lift lift(Instant now, Returned&& returned) {
        if (now < lifts_.at) return Lift::none;
        lifts_.at = never;
        lifts_.next = after(now, AwarenessLifts::every);
        const bool all = std::exchange(lifts_.all, false) || returned();
        Lift lifted = all ? Lift::all : Lift::none;
        for (auto& [id, entry] : entries_) {
            if (entry.state.empty() || entry.client >> 63U != 0) continue;
            const bool held = entry.raised > entry.clock;
            const Instant due = after(entry.at, AwarenessLifts::every);
            if (held && due > now) lifts_.at = smaller(lifts_.at, due);
            if (held ? due > now : !all) continue;
            if (!all) lifted = Lift::held;
            entry.clock = held ? entry.raised : next_clock(entry.clock);
            entry.raised = entry.clock;
            if (held) note(entry, now);
        }
        return lifted;
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
    /// Removes states that were not renewed within awareness_outdated_after, and forgets ids that
    /// were removed that long ago.
    /// Complexity: O(n) when something is due.
    void expire(Instant now) {
        if (now < expires_at_) return;
        expires_at_ = never;
        for (auto it = entries_.begin(); it != entries_.end();) {
            auto& [id, entry] = *it;
            const Instant due = after(entry.at, awareness_outdated_after);
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
    /// Returns when `expire` or `lift` is due.
    [[nodiscard]] Instant deadline() const noexcept { return smaller(expires_at_, lifts_.at); }

    /// Returns all states of each of these clients as a message, in the order of the clients; empty
    /// if a client has none. With `for_owners`, each message is for its client, and has the ids
    /// whose clocks were raised. Ends before the client whose states would exceed about
    /// `bytes_max`, but not before the first one. All clients take one pass over the states. Tests
    /// may count how many states it visits.
    /// Pre: each client is named once.
    /// Complexity: O(n log m) for m clients.
    [[nodiscard]] std::vector<Bytes> states_of(const std::vector<std::uint64_t>& clients,
                                               std::size_t bytes_max, bool for_owners = false,
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
            if (for_owners && !entry.is_behind()) continue;
            put(id, entry, for_owners ? entry.client : 0, states[of->place]);
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
    /// Queues the changes for sending.   Returns: false if there are none, or if they are queued.
    [[nodiscard]] bool queue() noexcept {
        return sent_.seen != version_ && !std::exchange(queued_, true);
    }
    /// How far states were sent to all clients that could accept them.
    [[nodiscard]] const AwarenessCursor& sent() const noexcept { return sent_; }
    /// Returns the next piece of changes for all clients, their authors included. `behind` receives
    /// the clients with an id in it whose clock has risen: each needs a piece for itself instead.
    [[nodiscard]] Bytes take_changes(std::size_t bytes_max, std::vector<std::uint64_t>& behind) {
        queued_ = false;
        return piece(sent_, bytes_max, 0, &behind);
    }
    /// Returns the next piece after `walk` for a client, removals included; empty if there is
    /// nothing more. Its frame is at most `bytes_max` long, unless one state is longer.
    /// Complexity: O(n).
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): a limit, and the id of a client
    [[nodiscard]] Bytes piece(AwarenessCursor& walk, std::size_t bytes_max, std::uint64_t reader,
                              std::vector<std::uint64_t>* behind = nullptr) const {
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
                put(id, entry, reader, body);
                if (behind != nullptr && entry.is_behind()) behind->push_back(entry.client);
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
        /// Whether its owner has not raised its own clock yet.
        [[nodiscard]] bool is_behind() const noexcept { return own < raised && !state.empty(); }

        std::uint64_t clock = 0;
        std::uint64_t own = 0;      ///< the last clock that its owner has sent
        std::uint64_t raised = 0;   ///< to which its owner is to raise its clock
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
        // An honest client knows only ids of the room.
        if (count > entries_max()) return {RoomErrc::frame_too_large, "clients_per_room_max"};
        for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
            State s{};
            s.id = in.varuint();
            s.clock = in.varuint();
            s.state = in.varstring();
            if (in.failed()) break;
            if (s.clock > AwarenessLifts::clock_max ||
                (s.state.size() <= options_->awareness_bytes_max &&
                 JsonText<>::of(s.state, json_nesting_max) != JsonText<>::Verdict::json)) {
                states_.clear();
                return RoomErrc::malformed_frame;
            }
            states_.push_back(s);
        }
        if (!in.failed() && in.at_end()) return {};
        states_.clear();
        return RoomErrc::malformed_frame;
    }

    /// Takes a state, or skips it. With `keeps`, a state that is too large renews the former one.
    /// Returns: false if it is too large.
    bool take(const AwarenessSource& from, const State& s, Instant now, bool keeps) {
        const bool gone = s.state == "null";
        const auto found = entries_.find(s.id);
        const bool known = found != entries_.end();
        Entry* entry = known ? &found->second : nullptr;
        const bool owns = known && entry->client == from.client;
        if (owns) {
            entry->user = from.user;
            const bool ends = gone && s.clock == entry->own && !entry->state.empty();
            if (s.clock <= entry->own && !ends) return true;
        } else {
            if (gone) return true;
            // Also for a removed id: a user that dials again finds the id as it was.
            if (known && entry->user != from.user) return true;
            if (known && s.clock <= entry->clock && !from.first) return true;
        }
        const Owned has = owned_by(from.client);
        // A client that only repeats the states of others reaches this limit, too.
        if (!owns && has.ids >= awareness_ids_max) return true;
        const std::size_t others = has.bytes - (owns ? entry->state.size() : 0);
        const bool fits = gone || others + s.state.size() <= options_->awareness_bytes_max;
        if (!fits && (!keeps || !owns || entry->state.empty())) return false;
        if (!known) {
            if (entries_.size() >= entries_max() && !make_space()) return true;
            entry = &entries_[s.id];
        }
        std::uint64_t clock = larger(s.clock, entry->clock);
        if (from.first && !owns) {
            entry->raised = smaller(larger(s.clock + AwarenessLifts::first_rise, entry->clock + 1),
                                    AwarenessLifts::clock_max);
            lifts_.on_joined(now);
        } else if (owns && s.clock <= entry->clock) {
            const bool same = s.state == entry->state;
            const bool recent = now < after(entry->at, std::chrono::seconds{1});
            entry->own = s.clock;
            // The owner sends its state again when it has raised its clock.
            if (same && (s.clock == entry->clock || recent)) return true;
            if (!gone) clock = next_clock(clock);
            entry->raised = larger(entry->raised, clock);
        }
        if (known && !owns) lifts_.on_returned(now);
        entry->clock = clock;
        entry->own = s.clock;
        entry->user = from.user;
        assign(*entry, from.client,
               gone   ? std::string_view{}
               : fits ? s.state
                      : std::string_view{entry->state});
        note(*entry, now);
        return fits;
    }
    [[nodiscard]] Owned owned_by(std::uint64_t client) const {
        const auto found = owned_.find(client);
        return found != owned_.end() ? found->second : Owned{};
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
    /// The most entries, removed ones included: twice as many as the clients of a full room have.
    [[nodiscard]] std::size_t entries_max() const noexcept {
        constexpr std::size_t each = 2 * awareness_ids_max;
        return smaller(options_->clients_per_room_max, no_limit / each) * each;
    }
    void remove(Entry& entry, Instant now) { end(entry, 0, now); }
    /// Ends a state. `client` is the owner of the id from now on; 0: there is none.
    void end(Entry& entry, std::uint64_t client, Instant now) {
        const bool gone = entry.state.empty();
        assign(entry, client, {});
        if (gone) return;
        entry.clock = next_clock(entry.clock);
        note(entry, now);
    }
    void note(Entry& entry, Instant now) {
        entry.at = now;
        entry.version = ++version_;
        expires_at_ = smaller(expires_at_, after(now, awareness_outdated_after));
    }
    [[nodiscard]] static Bytes counted(std::size_t count, const Bytes& body) {
        Bytes out;
        out.reserve(body.size() + 4);
        yjs::append_varuint(out, count);
        out.insert(out.end(), body.begin(), body.end());
        return out;
    }
    /// Writes an entry, for its owner or for others.
    static void put(std::uint64_t id, const Entry& entry, std::uint64_t reader, Bytes& out) {
        const bool raises = reader != 0 && reader == entry.client && entry.is_behind();
        yjs::append_varuint(out, id);
        yjs::append_varuint(out, raises ? entry.raised - 1 : entry.clock);
        yjs::append_varbytes(out, as_bytes(raises || entry.state.empty() ? "null" : entry.state));
    }
    [[nodiscard]] static std::uint64_t next_clock(std::uint64_t clock) noexcept {
        return smaller(clock + 1, AwarenessLifts::clock_max);
    }

    static constexpr std::size_t json_nesting_max = 64;
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
    AwarenessLifts lifts_{};
    bool queued_ = false;
};

}}}  // namespace belay::detail
