// SPDX-License-Identifier: MIT
/// \file belay/postgres/rooms.hpp
/// postgres::Rooms: stores rooms in PostgreSQL, for several servers at a time; needs libpq.
/// Link belay::postgres or -lpq.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <memory>        // std::make_shared, std::shared_ptr
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/detail/expect_options.hpp>
#include <belay/postgres/detail/subscription.hpp>
#include <belay/room/detail/staged_rooms.hpp>

namespace belay { inline namespace BELAY_ABI { namespace postgres {

/// Stores rooms in PostgreSQL, where several servers share them.
///
///     RoomManager rooms{OnThread{postgres::Rooms{{.connection = "host=db dbname=boards"}}},
///                       authorizer};
///
/// A flush is one transaction for all rooms and changes in it; so is a save. If PostgreSQL rejects
/// it, each room has a transaction of its own, and the others are not affected. A change is stored
/// when PostgreSQL has confirmed the commit; its setting `synchronous_commit` decides what that
/// survives. The first call creates the tables:
///
///     <prefix>_room    (id bytea PRIMARY KEY, epoch bytea, began bigint, position bigint,
///                       covers bigint, trimmed bigint, snapshot bytea)
///     <prefix>_update  (room bytea, position bigint, server bytea, sequence bigint, body bytea)
///     <prefix>_ended   (room bytea, epoch bytea, ended_at timestamptz)
///     <prefix>_version (version integer)
///
/// - A room's row has the position of its last update. A flush raises it, and holds the row until
///   its commit, so updates become visible in the order of their positions. A position also has the
///   time of the server's clock. So an update after a restored backup never gets the position of a
///   lost one, and the loss is a gap.
/// - The updates that the last snapshot but one covers are removed. `ended` has the histories that
///   were ended on purpose, for a week.
/// - A notification wakes the other servers. Every `poll_every`, each server compares its rooms.
/// - Awareness is in the notifications of the channel `<prefix>_changes`. Each server receives that
///   of all rooms.
/// - A server that freezes in a transaction holds its rooms for half of `command_timeout`. After a
///   lost connection, calls fail at once for `retry_after`, and the next one connects again.
///
/// Models:        PersistenceLike, BlockingFanoutLike; every call answers before it returns.
/// Thread safety: distinct objects safe.
/// Blocks:        every call, on the database: use an OnThread.
/// Errors:        those of PersistenceLike and of FanoutLike; storage_busy; snapshot_damaged; those
///                of PostgreSQL, see Errc.
/// Throws:        std::bad_alloc.
/// Memory:        of each room, the id of the last own change until it is read back.
class Rooms {
public:
    /// Constructs the storage; it connects at the first call.
    ///
    /// Pre: options.check() is empty. Call it for options that a user has written.
    explicit Rooms(const RoomsOptions& options)
        : options_{checked(options)}, connection_{std::make_unique<Connection>(options)} {}

    /// Loads a room.
    void load(std::string_view id, Completion<part::LoadedRoom> done) { done(load_now(id)); }
    /// Adds an update to a room; the flush stores it.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change = {}) {
        return staged_.add(Change::append(id, update, change));
    }
    /// Begins a new, empty history of a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return staged_.add(Change::reset(id, epoch));
    }
    /// Begins a history, unless another server has begun one.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return staged_.add(Change::begin(id, epoch, again));
    }
    /// Erases a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return staged_.add(Change::erase(id));
    }
    /// Stores all changes made before: in one transaction, or in one for each room if PostgreSQL
    /// rejects any of them. An outage ends the flush.
    void flush(Completion<part::FlushedRooms> done) {
        // All servers lock rooms in one order, so that none waits for another in a circle.
        done(detail::flushed_rooms(
            staged_.take_by_room(), Errc::rejected,
            [this](auto changes, auto& flushed) { return store(changes, flushed); }));
    }
    /// Stores a snapshot of a room.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        done(save_now(id, snapshot, covers));
    }
    /// Lists the ids of rooms.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        Rows rows;
        if (PersistenceError e = ask("SELECT id FROM $_room WHERE id > $1 ORDER BY id LIMIT $2",
                                     {as_bytes(after), bigint(count)}, rows))
            return done(part::ListedRooms{std::move(e)});
        std::vector<std::string> ids;
        for (int i = 0; i < rows.size(); ++i) ids.emplace_back(as_text(rows.bytes(i, 0)));
        done(part::ListedRooms{std::move(ids)});
    }
    /// Returns the subscription of a BlockingFanoutLike, with a connection of its own.
    [[nodiscard]] detail::PostgresSubscription subscription() const { return {options_, own_}; }

private:
    using Connection = detail::PostgresConnection;
    using Rows = detail::PostgresRows;
    using Values = std::vector<detail::PostgresValue>;
    using Change = detail::StagedChange;
    using Kind = Change::Kind;

    [[nodiscard]] static const RoomsOptions& checked(const RoomsOptions& options) {
        detail::expect_options(options.check(),
                               {{"command_timeout", options.command_timeout},
                                {"retry_after", options.retry_after},
                                {"poll_every", options.poll_every},
                                {"unflushed_bytes_max", options.unflushed_bytes_max}});
        return options;
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Returns the number, or the largest that a bigint can have.
    [[nodiscard]] static std::uint64_t bigint(std::uint64_t number) noexcept {
        return detail::smaller(number, std::uint64_t{INT64_MAX});
    }
    /// Returns the command with the prefix of the tables instead of `$`, except in `$1`.
    [[nodiscard]] std::string with_prefix(std::string_view command) const {
        std::string text;
        for (std::size_t i = 0; i < command.size(); ++i) {
            const bool is_prefix = command[i] == '$' && command.substr(i + 1, 1) == "_";
            is_prefix ? text += options_.prefix : text += command[i];
        }
        return text;
    }
    [[nodiscard]] PersistenceError ask(std::string_view command, const Values& values, Rows& rows) {
        if (PersistenceError e = connection_->connect("")) return e;
        if (connection_->take_connected()) {
            if (PersistenceError e = create_tables()) {
                connection_->close();
                return e;
            }
        }
        return connection_->run(with_prefix(command), values, rows);
    }
    /// Creates the tables that do not exist, and checks their version.
    [[nodiscard]] PersistenceError create_tables() {
        Rows rows;
        const std::string missing = with_prefix(
            "SELECT (SELECT count(*) FROM unnest(ARRAY['$_room', '$_update', '$_ended', "
            "'$_version']) t WHERE to_regclass(t) IS NULL)");
        if (PersistenceError e = connection_->run(missing, {}, rows)) return e;
        if (rows.number(0, 0) != 0) {
            const std::string create = with_prefix(
                "BEGIN; SELECT pg_advisory_xact_lock(hashtext('$_version'));"
                "CREATE TABLE IF NOT EXISTS $_version (version integer NOT NULL);"
                "INSERT INTO $_version SELECT 1 WHERE NOT EXISTS (SELECT FROM $_version);"
                "CREATE TABLE IF NOT EXISTS $_room (id bytea PRIMARY KEY, epoch bytea NOT NULL,"
                " began bigint NOT NULL, position bigint NOT NULL, covers bigint NOT NULL,"
                " trimmed bigint NOT NULL, snapshot bytea NOT NULL);"
                "CREATE TABLE IF NOT EXISTS $_update (room bytea, position bigint,"
                " server bytea NOT NULL, sequence bigint NOT NULL, body bytea NOT NULL,"
                " PRIMARY KEY (room, position));"
                "CREATE TABLE IF NOT EXISTS $_ended (room bytea, epoch bytea,"
                " ended_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (room, epoch)); COMMIT");
            if (PersistenceError e = connection_->run(create, rows)) return e;
        }
        if (PersistenceError e =
                connection_->run(with_prefix("SELECT version::bigint FROM $_version"), {}, rows))
            return e;
        if (rows.size() == 1 && rows.number(0, 0) == 1) return {};
        return connection_->failed(Errc::other_version);
    }

    // ---- changes -------------------------------------------------------------------------------

    /// A position of the present time, with 11 random bits. It is larger than all before, if the
    /// clock does not go back, and lasts until the year 2112.
    static constexpr const char* now =
        "((extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 2048 "
        "+ floor(random() * 2048)::bigint)";

    /// A room of a flush.
    struct Stored {
        std::string id{};
        std::error_code error{};
        std::uint64_t position = 0;  ///< 0: it has no history
        Id epoch{};
        Id asked{};   ///< of the last history that it begins
        Id server{};  ///< of the last update
    };
    /// Stores changes of rooms in one transaction.
    [[nodiscard]] PersistenceError store(std::span<const Change> changes,
                                         part::FlushedRooms& flushed) {
        std::vector<Stored> stored;
        PersistenceError error = store(changes, stored);
        if (error) connection_->roll_back();
        for (Stored& room : stored)
            if (!error) note(room, flushed);
        return error;
    }
    [[nodiscard]] PersistenceError store(std::span<const Change> changes,
                                         std::vector<Stored>& stored) {
        Rows rows;
        if (PersistenceError e = ask("BEGIN", {}, rows)) return e;
        std::string notified;
        for (std::span<const Change> left = changes; !left.empty();) {
            std::span<const Change> of_room = detail::changes_of_room(left);
            left = left.subspan(of_room.size());
            Stored room{.id = of_room[0].id};
            while (!of_room.empty() && !room.error) {
                const auto some = detail::changes_at_once(of_room, std::size_t{16} << 20);
                of_room = of_room.subspan(some.size());
                if (PersistenceError e =
                        some[0].kind == Kind::append ? append(some, room) : turn(some[0], room))
                    return e;
            }
            notified += (notified.empty() ? "{c" : ",c") + detail::hex_of(as_bytes(room.id));
            stored.push_back(std::move(room));
        }
        if (PersistenceError e = ask("SELECT pg_notify('$_changes', t) FROM unnest($1::text[]) t",
                                     {notified + "}"}, rows))
            return e;
        return ask("COMMIT", {}, rows);
    }
    void note(Stored& room, part::FlushedRooms& flushed) {
        if (room.error) return detail::add_error(flushed.error, room.id, {room.error, {}, {}});
        if (room.asked != no_id) continued_.begun(room.id, room.asked, room.epoch);
        if (room.position == 0) return;
        if (room.server != no_id) own_->stored(room.id, {room.epoch, room.position, room.server});
        flushed.positions.emplace_back(room.id, room.position);
        flushed.epochs.emplace_back(room.id, room.epoch);
    }
    [[nodiscard]] PersistenceError append(std::span<const Change> changes, Stored& room) {
        Bytes all;
        std::string sizes = "{";
        std::string numbers = "{";
        for (const Change& change : changes) {
            const char* const comma = all.empty() && sizes.size() == 1 ? "" : ",";
            sizes += comma + std::to_string(change.update.size());
            numbers += comma + std::to_string(static_cast<std::int64_t>(change.change.sequence));
            all.insert(all.end(), change.update.begin(), change.update.end());
        }
        const part::ChangeId& change = changes[0].change;
        // A begin of the same flush has not been noted yet.
        const Id asked = change.epoch == room.asked && room.asked != no_id
                             ? room.epoch
                             : continued_.of(room.id, change.epoch);
        const detail::PostgresOwnChanges::Change own = own_->of(room.id);
        const std::string command =
            "WITH head AS (UPDATE $_room r SET position = greatest(position + $3::bigint, " +
            std::string{now} + ") WHERE id = $1 AND ($2::bytea = ''::bytea OR epoch = $2) AND " +
            detail::postgres_has_own("$", "$10", "$4", "$5") +
            " RETURNING id, position, epoch), added AS (INSERT INTO $_update SELECT head.id, "
            "head.position - $3 + n, $9::bytea, number, substring($6::bytea FROM (ends - size + "
            "1)::integer FOR size) FROM head, (SELECT size, number, n, sum(size) OVER (ORDER BY n) "
            "AS ends FROM unnest($7::integer[], $8::bigint[]) WITH ORDINALITY AS u(size, number, "
            "n)) given) SELECT position, epoch FROM head";
        const BytesView epoch = asked == no_id ? BytesView{} : BytesView{asked};
        Rows rows;
        if (PersistenceError e = ask(
                command,
                {as_bytes(room.id), epoch, std::uint64_t{changes.size()}, own.position, own.server,
                 BytesView{all}, sizes + "}", numbers + "}", change.server, own.epoch},
                rows))
            return e;
        if (rows.size() == 0) return is_over(room, asked);
        room.position = rows.number(0, 0);
        room.epoch = rows.id(0, 1);
        room.server = change.server;
        return {};
    }
    /// Sets the error of a room that has no such history.
    [[nodiscard]] PersistenceError is_over(Stored& room, const Id& epoch) {
        Rows rows;
        if (PersistenceError e = ask("SELECT FROM $_ended WHERE room = $1 AND epoch = $2",
                                     {as_bytes(room.id), epoch}, rows))
            return e;
        room.error = rows.size() != 0 ? RoomErrc::history_reset : RoomErrc::unknown_room;
        return {};
    }
    /// Begins or ends a history.
    [[nodiscard]] PersistenceError turn(const Change& change, Stored& room) {
        Rows rows;
        const BytesView id = as_bytes(room.id);
        // No other server begins or ends a history of the room until the commit.
        if (PersistenceError e =
                ask("SELECT pg_advisory_xact_lock(hashtextextended('$_' || encode($1, 'hex'), 0))",
                    {id}, rows))
            return e;
        if (change.kind == Kind::begin) {
            if (change.again) {
                if (PersistenceError e = is_over(room, change.epoch)) return e;
                if (room.error == RoomErrc::history_reset) return {};
                room.error = {};
            }
            return begin(change, "id = excluded.id", room);
        }
        if (PersistenceError e = ask(
                "INSERT INTO $_ended (room, epoch) SELECT id, epoch FROM $_room WHERE id = $1 ON "
                "CONFLICT (room, epoch) DO UPDATE SET ended_at = now()",
                {id}, rows))
            return e;
        // More than are added. Those that another server removes are skipped, not waited for.
        if (PersistenceError e =
                ask("DELETE FROM $_ended WHERE (room, epoch) IN (SELECT room, epoch FROM $_ended "
                    "WHERE ended_at < now() - interval '7 days' LIMIT 100 FOR UPDATE SKIP LOCKED)",
                    {}, rows))
            return e;
        if (PersistenceError e = ask("DELETE FROM $_update WHERE room = $1", {id}, rows)) return e;
        if (change.kind == Kind::erase) {
            room.position = 0;
            room.epoch = room.asked = room.server = no_id;
            return ask("DELETE FROM $_room WHERE id = $1", {id}, rows);
        }
        return begin(change,
                     "epoch = excluded.epoch, snapshot = excluded.snapshot, began = "
                     "greatest(r.position + 1, excluded.began), position = greatest(r.position + "
                     "1, excluded.began), covers = greatest(r.position + 1, excluded.began), "
                     "trimmed = greatest(r.position + 1, excluded.began)",
                     room);
    }
    /// Adds the row of a room. `otherwise`: what changes if there is one.
    [[nodiscard]] PersistenceError begin(const Change& change, const std::string& otherwise,
                                         Stored& room) {
        Rows rows;
        if (PersistenceError e =
                ask("INSERT INTO $_room AS r SELECT $1, $2, t, t, t, t, ''::bytea FROM (SELECT " +
                        std::string{now} + " AS t) given ON CONFLICT (id) DO UPDATE SET " +
                        otherwise + " RETURNING position, epoch",
                    {as_bytes(room.id), change.epoch}, rows))
            return e;
        room.position = rows.number(0, 0);
        room.epoch = rows.id(0, 1);
        room.asked = change.epoch;
        room.server = no_id;
        if (room.epoch != change.epoch) return {};
        return ask("DELETE FROM $_ended WHERE room = $1 AND epoch = $2",
                   {as_bytes(room.id), change.epoch}, rows);
    }

    // ---- loads and saves -----------------------------------------------------------------------

    [[nodiscard]] part::LoadedRoom load_now(std::string_view id) {
        if (!detail::is_room_id(id)) return PersistenceError{RoomErrc::bad_room_id, {}, {}};
        Rows rows;
        if (PersistenceError e = ask(
                "SELECT covers, epoch, snapshot FROM $_room WHERE id = $1 UNION ALL SELECT "
                "u.position, ''::bytea, u.body FROM $_room r JOIN $_update u ON u.room = r.id AND "
                "u.position > r.covers WHERE r.id = $1 ORDER BY 1",
                {as_bytes(id)}, rows))
            return e;
        if (rows.size() == 0) return std::optional<StoredRoom>{};
        auto parts = detail::unpacked_parts(rows.bytes(0, 2));
        if (!parts) return PersistenceError{RoomErrc::snapshot_damaged, std::string{id}, {}};
        StoredRoom room{rows.id(0, 1), std::move(*parts), {}, rows.number(0, 0)};
        for (int i = 1; i < rows.size(); ++i) {
            room.position = rows.number(i, 0);
            room.updates.push_back(to_bytes(rows.bytes(i, 2)));
        }
        own_->read(std::string{id}, ~std::uint64_t{0});
        return std::optional{std::move(room)};
    }
    [[nodiscard]] PersistenceError save_now(std::string_view id, std::span<const Bytes> snapshot,
                                            std::uint64_t covers) {
        if (!detail::is_room_id(id)) return {RoomErrc::bad_room_id, {}, {}};
        const std::string packed = detail::packed_parts(snapshot);
        const detail::PostgresOwnChanges::Change own = own_->of(id);
        Rows rows;
        // No position of this storage is larger.
        const std::uint64_t to = bigint(covers);
        if (PersistenceError e = ask(
                "WITH saved AS (UPDATE $_room r SET snapshot = $3::bytea, covers = $2::bigint, "
                "trimmed = CASE WHEN $2 > covers THEN covers ELSE trimmed END WHERE id = $1 AND "
                "$2 BETWEEN covers AND position AND " +
                    detail::postgres_has("$", "$2", "") + " AND " +
                    detail::postgres_has_own("$", "$6", "$4", "$5") +
                    " RETURNING id, trimmed), gone AS (DELETE FROM $_update u USING saved WHERE "
                    "u.room = saved.id AND u.position <= saved.trimmed) SELECT FROM saved",
                {as_bytes(id), to, as_bytes(packed), own.position, own.server, own.epoch}, rows))
            return e;
        if (rows.size() != 0) return {};
        if (PersistenceError e =
                ask("SELECT position FROM $_room WHERE id = $1", {as_bytes(id)}, rows))
            return e;
        if (rows.size() == 0) return {RoomErrc::unknown_room, {}, {}};
        return {rows.number(0, 0) < to ? RoomErrc::bad_position : RoomErrc::stale_snapshot, {}, {}};
    }

    RoomsOptions options_;
    std::unique_ptr<Connection> connection_;
    std::shared_ptr<detail::PostgresOwnChanges> own_ =
        std::make_shared<detail::PostgresOwnChanges>();
    detail::StagedRooms staged_{options_.unflushed_bytes_max};
    detail::ContinuedHistories continued_{};
};

}}}  // namespace belay::postgres
