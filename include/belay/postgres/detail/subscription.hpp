// SPDX-License-Identifier: MIT
/// \file belay/postgres/detail/subscription.hpp
/// PostgresSubscription: the connection of a postgres::Rooms that waits for changes and messages.
#pragma once

#include <libpq-fe.h>

#include <cstddef>      // std::byte, std::size_t
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <memory>       // std::shared_ptr, std::unique_ptr
#include <mutex>        // std::mutex
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/detail/hex.hpp>
#include <belay/core/order.hpp>
#include <belay/posix/poller.hpp>
#include <belay/postgres/detail/connection.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the bytes of a text that hex_of returned; nothing of other text.
[[nodiscard]] inline Bytes postgres_bytes(std::string_view digits) {
    return bytes_of_hex(digits).value_or(Bytes{});
}

/// The last change that this server has stored in each room, until its subscription has read
/// further.
///
/// Thread safety: all members.
class PostgresOwnChanges {
public:
    struct Change {
        Id epoch{};
        std::uint64_t position = 0;
        Id server{};
    };
    void stored(const std::string& id, const Change& change) {
        const std::lock_guard lock{mutex_};
        changes_.insert_or_assign(id, change);
    }
    /// Returns the last own change of a room.
    [[nodiscard]] Change of(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        const auto found = changes_.find(id);
        return found != changes_.end() ? found->second : Change{};
    }
    /// The room was loaded, or was read up to a position.
    void read(const std::string& id, std::uint64_t position) {
        const std::lock_guard lock{mutex_};
        const auto found = changes_.find(id);
        if (found != changes_.end() && found->second.position <= position) changes_.erase(found);
    }

private:
    mutable std::mutex mutex_{};
    std::map<std::string, Change, std::less<>> changes_{};
};

/// Whether an entry, of the given server if it is not empty, is in the history; `r` is its room.
/// Entries up to `trimmed` are removed.
[[nodiscard]] inline std::string postgres_has(const std::string& prefix, const std::string& at,
                                              const std::string& server) {
    const std::string entry = "EXISTS (SELECT FROM " + prefix +
                              "_update e WHERE e.room = r.id AND " + "e.position = " + at +
                              (server.empty() ? "" : " AND e.server = " + server) + ")";
    return "(" + at + " >= r.trimmed AND (" + at + " IN (r.trimmed, r.covers) OR " + entry + "))";
}

/// Whether the last own change, whose members are the given parameters, is in the history of the
/// room `r`, or is of another one.
[[nodiscard]] inline std::string postgres_has_own(const std::string& prefix,
                                                  const std::string& epoch, const std::string& at,
                                                  const std::string& server) {
    return "(" + epoch + "::bytea <> r.epoch OR " + at + "::bigint < r.trimmed OR " +
           postgres_has(prefix, at, server + "::bytea") + ")";
}

/// NOTIFY wakes it, and it then reads the tables. Messages are in the notifications themselves, in
/// pieces, because a notification has less than 8,000 bytes.
///
/// Thread safety: one thread, except for `wake`, which any thread may call.
class PostgresSubscription {
public:
    PostgresSubscription(const postgres::RoomsOptions& options,
                         std::shared_ptr<PostgresOwnChanges> own)
        : options_{options}, own_{std::move(own)}, connection_{options} {}

    [[nodiscard]] part::ReadRooms wait(const part::RoomReaders& readers,
                                       const std::set<std::string>& changed, Duration limit) {
        changed_.insert(changed.begin(), changed.end());
        const Instant until = after(SteadyClock{}.now(), limit);
        for (;;) {
            if (PersistenceError e = connection_.connect("LISTEN " + channel())) return e;
            Found found;
            if (connection_.take_connected()) polls_at_ = always;
            if (SteadyClock{}.now() >= polls_at_) {
                if (PersistenceError e = compare(readers)) return e;
                polls_at_ = after(SteadyClock{}.now(), options_.poll_every);
            }
            if (PersistenceError e = read_changed(readers, found)) return e;
            // After all queries, which receive notifications, too.
            if (!receive(readers, found) && found.empty())
                return connection_.failed(postgres::Errc::connection_lost);
            const Instant now = SteadyClock{}.now();
            if (found.empty() && unreadable_) return std::exchange(unreadable_, {});
            if (!found.empty() || wakeup_.take() || now >= until) return found;
            if (changed_.empty())
                wakeup_.wait(PQsocket(connection_.get()), elapsed(now, smaller(until, polls_at_)));
        }
    }
    void publish(const std::vector<part::PublishedMessage>& messages) {
        if (connection_.connect("LISTEN " + channel())) return;
        std::string texts = "{";
        for (const part::PublishedMessage& message : messages) {
            BytesView left{message.bytes};
            const std::string id = hex_of(as_bytes(message.id));
            do {
                const BytesView piece = left.first(smaller(left.size(), piece_max));
                left = left.subspan(piece.size());
                // Equal notifications of a transaction would become one.
                texts += (texts.size() == 1 ? "" : ",") + std::string{left.empty() ? "m" : "p"} +
                         id + ":" + std::to_string(++pieces_) + ":" + hex_of(piece);
            } while (!left.empty());
        }
        PostgresRows rows;
        static_cast<void>(
            connection_.run("SELECT pg_notify('" + channel() + "', t) FROM unnest($1::text[]) t",
                            {texts + "}"}, rows));
    }
    void wake() noexcept { wakeup_.signal(); }

private:
    using Found = std::map<std::string, part::FanoutBatch>;
    using State = part::FanoutBatch::State;

    [[nodiscard]] std::string channel() const { return options_.prefix + "_changes"; }
    /// Reads changed rooms, in turn. A lost connection is an error only if nothing was read.
    [[nodiscard]] PersistenceError read_changed(const part::RoomReaders& readers, Found& found) {
        for (int reads = 0; reads < reads_per_turn && !changed_.empty(); ++reads) {
            auto next = changed_.upper_bound(last_read_);
            if (next == changed_.end()) next = changed_.begin();
            const std::string id = last_read_ = *next;
            if (PersistenceError e = read(id, readers, found)) {
                if (connection_.get() == nullptr) return found.empty() ? e : PersistenceError{};
                // It is reported when there is nothing else to report.
                add_error(unreadable_, id, std::move(e));
            }
            changed_.erase(id);
        }
        return {};
    }
    /// Receives notifications.   Returns: false if the connection is lost.
    [[nodiscard]] bool receive(const part::RoomReaders& readers, Found& found) {
        if (connection_.get() == nullptr || PQconsumeInput(connection_.get()) == 0) {
            connection_.close();
            return false;
        }
        using Notification = std::unique_ptr<PGnotify, decltype(&PQfreemem)>;
        while (const Notification one{PQnotifies(connection_.get()), &PQfreemem}) {
            const std::string_view text = one->extra;
            const std::size_t ends = text.find(':');
            const std::size_t begins = text.find(':', ends + 1);
            if (text.empty()) continue;
            const Bytes name = postgres_bytes(text.substr(1, ends == text.npos ? ends : ends - 1));
            const std::string id{as_text(name)};
            if (text[0] == 'c') changed_.insert(id);
            if (text[0] == 'c' || begins == text.npos) continue;
            // The pieces of a message are in one transaction.
            Bytes& message = partial_[one->be_pid];
            const Bytes piece = postgres_bytes(text.substr(begins + 1));
            message.insert(message.end(), piece.begin(), piece.end());
            if (text[0] != 'm') continue;
            if (readers.contains(id)) found[id].messages.push_back(std::move(message));
            partial_.erase(one->be_pid);
        }
        return true;
    }
    /// Finds the rooms that differ from what was read, or have lost the last update.
    [[nodiscard]] PersistenceError compare(const part::RoomReaders& readers) {
        std::string ids = "{";
        for (const auto& [id, reader] : readers)
            if (reader.waits)
                ids += (ids.size() == 1 ? "" : ",") + std::string{"\"\\\\x"} +
                       hex_of(as_bytes(id)) + "\"";
        PostgresRows rows;
        if (PersistenceError e = connection_.run(
                "SELECT id, epoch, position, " + postgres_has(options_.prefix, "r.position", "") +
                    "::int::bigint FROM " + options_.prefix +
                    "_room r WHERE id = ANY ($1::bytea[])",
                {ids + "}"}, rows))
            return e;
        std::set<std::string> same;
        for (int i = 0; i < rows.size(); ++i) {
            const std::string id{as_text(rows.bytes(i, 0))};
            const part::RoomReader& reader = readers.find(id)->second;
            if (reader.epoch == rows.id(i, 1) && reader.from == rows.number(i, 2) &&
                rows.number(i, 3) != 0)
                same.insert(id);
        }
        for (const auto& [id, reader] : readers)
            if (reader.waits && !same.contains(id)) changed_.insert(id);
        return {};
    }
    /// Reads the entries of a room.
    [[nodiscard]] PersistenceError read(const std::string& id, const part::RoomReaders& readers,
                                        Found& found) {
        const auto at = readers.find(id);
        if (at == readers.end() || !at->second.waits) return {};
        const part::RoomReader& reader = at->second;
        own_->read(id, reader.from);
        const PostgresOwnChanges::Change own = own_->of(id);
        const std::string& p = options_.prefix;
        PostgresRows rows;
        if (PersistenceError e = connection_.run(
                "WITH r AS (SELECT *, CASE WHEN $2::bigint = 0 THEN began ELSE $2 END AS at FROM " +
                    p + "_room WHERE id = $1) SELECT 0::bigint, r.epoch, (" +
                    postgres_has(p, "r.at", "") + " AND " + postgres_has_own(p, "$5", "$3", "$4") +
                    ")::int::bigint, ''::bytea FROM r UNION ALL (SELECT position, server, "
                    "sequence, body FROM (SELECT u.*, sum(length(u.body)) OVER (ORDER BY "
                    "u.position) AS bytes FROM r JOIN " +
                    p +
                    "_update u ON u.room = r.id AND u.position > r.at ORDER BY u.position LIMIT "
                    "256) few WHERE bytes <= 1048576 OR bytes = length(body)) ORDER BY 1",
                {BytesView{as_bytes(id)}, reader.from, own.position, own.server, own.epoch}, rows))
            return e;
        part::FanoutBatch batch;
        const bool has = rows.size() != 0;
        if (has) batch.epoch = rows.id(0, 1);
        if (reader.epoch != no_id && batch.epoch != reader.epoch) {
            PostgresRows over;
            if (PersistenceError e =
                    connection_.run("SELECT FROM " + p + "_ended WHERE room = $1 AND epoch = $2",
                                    {BytesView{as_bytes(id)}, reader.epoch}, over))
                return e;
            batch.state = over.size() != 0 ? State::over : State::gap;
        } else if (has && rows.number(0, 2) == 0) {
            batch.state = State::gap;
        } else {
            for (int i = 1; i < rows.size(); ++i) {
                const part::ChangeId change{rows.id(i, 1), rows.number(i, 2), batch.epoch};
                batch.entries.push_back({rows.number(i, 0), change, to_bytes(rows.bytes(i, 3))});
            }
            if (batch.entries.empty()) return {};
        }
        batch.messages = std::move(found[id].messages);
        found[id] = std::move(batch);
        return {};
    }

    /// Half of a notification, less an id and a number.
    static constexpr std::size_t piece_max = 3'500;
    static constexpr int reads_per_turn = 32;

    const postgres::RoomsOptions options_;
    std::shared_ptr<PostgresOwnChanges> own_;
    PostgresConnection connection_;
    posix::detail::WakeupFd wakeup_{};
    std::set<std::string> changed_{};
    std::string last_read_{};         // of them
    PersistenceError unreadable_{};   // of the rooms that could not be read
    std::map<int, Bytes> partial_{};  // of each connection that publishes
    std::uint64_t pieces_ = 0;
    Instant polls_at_ = always;
};

}}}  // namespace belay::detail
