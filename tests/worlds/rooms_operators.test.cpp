// SPDX-License-Identifier: MIT
// Goal: administration, hanging checks, hanging loads, slow readers, a failing storage, and several
// servers at a time lose no edit that a client has seen acknowledged, and all end when the faults
// do. Method: exploration. RoomOperators call the servers at random; afterwards every call has
// ended, every room loads, all clients see the same text and each other, every edit is saved, and
// the counters have the numbers of the observer's calls, within a stated time.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/room/room_manager.hpp>

#include "support/room/room_world.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/hanging_rooms.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The observer of one server, which counts its calls.
struct OperatedRecorder : RoomRecorder {
    sim::World* world = nullptr;
    std::uint64_t rejected = 0;
    std::uint64_t failed = 0;
    std::uint64_t joined = 0;
    std::uint64_t left = 0;
    std::uint64_t loaded = 0;
    std::uint64_t unloaded = 0;
    RoomCounters::Reasons left_for{};  ///< why clients that had joined were closed

    void on_rejected(const RoomRejection& r) {
        ++rejected;
        RoomRecorder::on_rejected(r);
    }
    void on_room_failed(const RoomFailure& f) {
        ++failed;
        if (f.error.code == RoomErrc::no_answer) world->reach("no answer in time");
        RoomRecorder::on_room_failed(f);
    }
    void on_room_event(const RoomEvent& e) {
        using Kind = RoomEvent::Kind;
        loaded += e.kind == Kind::loaded ? 1U : 0U;
        unloaded += e.kind == Kind::unloaded ? 1U : 0U;
        if (e.kind == Kind::joined) {
            ++joined;
            last_joined = e.client;
        } else if (e.kind == Kind::left) {
            ++left;
            if (e.reason) left_for.add(e.reason);
        }
    }
};
using OperatedRooms = RoomManager<HangingRooms, ListedRights, OperatedRecorder>;

constexpr std::size_t board_count = 4;
/// The rooms of the first two names are never erased or reset.
bool keeps_board(std::size_t board) { return board < 2; }
/// The first client of each room records which of its edits are acknowledged. The second does not.
bool is_addressed(std::uint64_t client) { return client < board_count; }
std::string board_name(std::size_t board) { return "board" + std::to_string(board); }

YjsDocument document_from(const std::vector<Bytes>& parts) {
    YjsDocument document;
    for (const Bytes& part : parts) static_cast<void>(document.apply(part));
    static_cast<void>(document.state_vector());
    return document;
}

/// The data that remains when a process ends, and the observations of the test.
struct OperatedRun {
    explicit OperatedRun(sim::World& w) : world{w}, late{w}, hanging{w} {}

    struct Edit {
        std::size_t board;
        Bytes update;
        Instant at;
        bool acknowledged = false;
    };
    /// The time until which the edits of a room may be lost, because it is erased or reset.
    struct Ending {
        int calls = 0;
        Instant until = always;
    };
    std::size_t edit(std::size_t board, Bytes update) {
        edits.push_back({board, std::move(update), world.now()});
        return edits.size() - 1;
    }
    /// Whether an edit may be lost, because of its room and its time.
    [[nodiscard]] bool may_lose(const Edit& one) const {
        const Ending& ending = endings[one.board];
        return ending.calls != 0 || one.at <= ending.until;
    }
    [[nodiscard]] YjsDocument stored(std::size_t board) const {
        std::vector<Bytes> parts;
        const auto found = late.store.rooms.find(board_name(board));
        if (found != late.store.rooms.end()) {
            parts = found->second.snapshot;
            for (const auto& entry : found->second.entries) parts.push_back(entry.update);
        }
        return document_from(parts);
    }
    [[nodiscard]] std::string lost() const {
        for (std::size_t board = 0; board < board_count; ++board) {
            YjsDocument all = stored(board);
            for (std::size_t i = 0; i < edits.size(); ++i) {
                const Edit& one = edits[i];
                if (one.board == board && one.acknowledged && !may_lose(one) &&
                    all.check(one.update).value_or(true))
                    return "edit " + std::to_string(i) + " of " + board_name(board) +
                           " was acknowledged, and is not stored";
            }
        }
        return {};
    }

    sim::World& world;
    LateStore late;
    HangingCalls hanging;
    RoomOptions options{};
    RoomRights rights{};
    std::vector<std::string> reported{};
    std::vector<sim::Host*> servers{};
    std::vector<sim::Host*> clients{};
    std::vector<Edit> edits{};
    Ending endings[board_count]{};
    /// How many more there are. All edits of a board fit into unflushed_bytes_max, because a client
    /// sends its whole document after an erase.
    int large_edits[board_count] = {2, 2, 2, 2};
    std::size_t asked = 0;
    std::size_t ended = 0;
    std::size_t succeeded = 0;
    std::string last_error{};
    std::uint64_t imports = 0;
};

/// A browser tab. It dials a server, types, shows its cursor, and reads slowly at times. It loses
/// its document when it ends, or when its room does.
class OperatedClient {
public:
    OperatedClient(sim::Host& host, OperatedRun& run, std::uint64_t number)
        : board{number % board_count},
          addresses{is_addressed(number)},
          author{number + 100 * host.starts()},
          editor{addresses ? RoomEditor::addressed(host, author, board_name(board))
                           : RoomEditor{host, author}},
          run_{run},
          host_{host} {
        editor.unread_max = 1;
        work();
    }
    void type(std::size_t length) {
        mine_.push_back(run_.edit(board, editor.type(std::string(length, 'x'))));
    }
    [[nodiscard]] bool all_acknowledged() const { return mine_.empty(); }
    /// Whether it sees the cursor of this other client of its room, and no other cursor.
    [[nodiscard]] bool sees_only(const OperatedClient& other) const {
        std::map<std::uint64_t, std::string> others = editor.present;
        others.erase(author);
        return others == decltype(others){{other.author, other.cursor_}};
    }

    const std::size_t board;
    const bool addresses;
    const std::uint64_t author;
    RoomEditor editor;

private:
    void work() {
        host_.after(300ms, [this] { work(); });
        if (editor.closed_with == 4409 || editor.closed_with == 4410) {
            run_.world.reach("a history ends in use");
            return exit_and_restart(run_.world, host_);
        }
        if (!editor.online()) {
            editor.stall(false);
            if (!host_.chance("dials", 60)) return;
            editor.dials = "server " + std::to_string(host_.choose("server", run_.servers.size()));
            // Yjs's client does the same, and also shows its own state again.
            editor.present.clear();
            cursor_due_ = host_.now();
            return editor.dial();
        }
        acknowledge();
        show_cursor();
        if (run_.world.healed_at()) return editor.stall(false);
        if (host_.chance("types", 25)) type_some();
        if (host_.chance("stalls", 12)) editor.stall(true);
        if (host_.chance("reads", 8)) editor.stall(false);
        if (host_.chance("leaves", 4)) editor.hang_up();
    }
    void type_some() {
        int& large = run_.large_edits[board];
        const bool much = large != 0 && host_.chance("much", 20);
        large -= much ? 1 : 0;
        type(much ? 14'000 : 1);
    }
    /// Renews the cursor before it is outdated, whether it moves or not.
    void show_cursor() {
        const bool moves = !run_.world.healed_at() && host_.chance("moves", 10);
        if (!editor.synced || (!moves && host_.now() < cursor_due_)) return;
        if (moves) cursor_ = "\"" + std::to_string(++moves_) + "\"";
        cursor_due_ = after(host_.now(), 3s);
        editor.show(cursor_);
    }
    void acknowledge() {
        if (!addresses || !editor.synced || editor.unsynced != 0) return;
        for (const std::size_t edit : std::exchange(mine_, {}))
            run_.edits[edit].acknowledged = true;
    }

    OperatedRun& run_;
    sim::Host& host_;
    std::vector<std::size_t> mine_{};  // edits that were not acknowledged yet
    std::string cursor_ = "\"0\"";
    Instant cursor_due_ = always;
    int moves_ = 0;
};

class RoomOperators {
public:
    explicit RoomOperators(OperatedRun& run) : run_{run} {}

    void work() {
        if (run_.world.healed_at()) return;
        run_.world.after(std::chrono::milliseconds{run_.world.choose("until the next call", 700)},
                         [this] { work(); });
        auto* const rooms = run_.servers[run_.world.choose("called", run_.servers.size())]
                                ->process<OperatedRooms>();
        if (rooms == nullptr) return;
        note_rejections(*rooms);
        call(*rooms, run_.world.choose("board", board_count));
    }
    void end(OperatedRooms& rooms, std::size_t board, bool erases) {
        ++run_.asked;
        ++run_.endings[board].calls;
        Completion<PersistenceError> done{[this, board](auto answer) noexcept {
            --run_.endings[board].calls;
            count(answer);
            // The storage may carry out a call that was not answered.
            run_.endings[board].until = after(run_.world.now(), run_.options.answer_within);
        }};
        erases ? rooms.erase(board_name(board), std::move(done))
               : rooms.reset(board_name(board), std::move(done));
    }
    void import(OperatedRooms& rooms, std::size_t board) {
        ++run_.asked;
        const Bytes update = typed(++run_.imports + 1'000'000, 0, "imported");
        const std::size_t edit = run_.edit(board, update);
        rooms.import_room(board_name(board), {.updates = {update}},
                          Completion<PersistenceError>{[this, edit](auto answer) noexcept {
                              run_.edits[edit].acknowledged = count(answer);
                          }});
    }
    void export_room(OperatedRooms& rooms, std::size_t board) {
        ++run_.asked;
        rooms.export_room(board_name(board),
                          Completion<Result<std::optional<StoredRoom>, PersistenceError>>{
                              [this](auto answer) noexcept {
                                  std::optional<PersistenceError> error;
                                  if (answer) error.emplace();
                                  if (answer && !answer->has_value()) error = answer->error();
                                  count(error);
                              }});
    }

private:
    /// Counts the end of a call, which was answered or dropped.   Returns: whether it succeeded.
    bool count(const std::optional<PersistenceError>& error) noexcept {
        ++run_.ended;
        const bool succeeds = error && !*error;
        if (succeeds)
            ++run_.succeeded;
        else
            run_.last_error = error ? error->code.message() : "the call was dropped";
        return succeeds;
    }
    void call(OperatedRooms& rooms, std::size_t board) {
        switch (run_.world.choose("call", 8)) {
            case 0:
                return keeps_board(board) ? export_room(rooms, board) : end(rooms, board, true);
            case 1:
                return keeps_board(board) ? import(rooms, board) : end(rooms, board, false);
            case 2:
                return import(rooms, board);
            case 3:
                return export_room(rooms, board);
            case 4:
                return static_cast<void>(rooms.get_or_create_room(board_name(board)));
            case 5:
                return hang_checks(rooms);
            case 6:
                if (rooms.remove_client(rooms.observer().last_joined))
                    run_.world.reach("an operator removes a client");
                return;
            default:
                return static_cast<void>(rooms.reauthorize(board_name(board)));
        }
    }
    void note_rejections(const OperatedRooms& rooms) {
        const RoomCounters& counters = rooms.counters();
        if (counters.reasons.of(RoomErrc::too_many_of_user) != 0)
            run_.world.reach("changes take a whole share");
        if (counters.resyncs != 0) run_.world.reach("a client lags");
        if (counters.awareness_dropped != 0) run_.world.reach("a client misses a cursor");
    }
    void hang_checks(OperatedRooms& rooms) {
        if (std::exchange(run_.rights.hangs, true)) return;
        run_.world.reach("checks hang");
        static_cast<void>(rooms.reauthorize({}));
        run_.world.after(std::chrono::milliseconds{run_.world.choose("checks hang for", 4000)},
                         [this] { run_.rights.hangs = false; });
    }

    OperatedRun& run_;
};

/// Runs the world until `done` returns an empty text, for a time at most.   Returns: its last text.
template <class F>
std::string run_until_none(sim::World& world, Duration most, F&& done) {
    const Instant end = after(world.now(), most);
    std::string text = done();
    while (!text.empty() && world.now() < end) {
        world.run_for(500ms);
        text = done();
    }
    return text;
}

/// Returns the counters of a server that differ from its observer's; empty if none does.
std::string miscounted(OperatedRooms& rooms) {
    const RoomCounters& all = rooms.counters();
    const OperatedRecorder& observed = rooms.observer();
    const auto sum = [](const RoomCounters::Reasons& reasons) {
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < RoomCounters::Reasons::count; ++i) count += reasons.at(i);
        return count;
    };
    std::string wrong;
    const auto equal = [&](const char* what, std::uint64_t is, std::uint64_t must) {
        if (is == must) return;
        wrong +=
            std::string{what} + ": " + std::to_string(is) + ", not " + std::to_string(must) + ". ";
    };
    std::uint64_t present = 0;
    std::uint64_t loaded = 0;
    for (std::size_t board = 0; board < board_count; ++board) {
        const auto stats = rooms.stats(board_name(board));
        present += stats ? stats->clients : 0;
        loaded += stats && stats->loaded ? 1U : 0U;
    }
    std::uint64_t joins = 0;
    for (const std::uint64_t count : all.joins.counts) joins += count;
    equal("reasons", sum(all.reasons), all.rejected + all.closed);
    equal("failures", sum(all.failures), all.storage_failures);
    equal("rejected", all.rejected, observed.rejected);
    equal("storage_failures", all.storage_failures, observed.failed);
    equal("joined", all.joined, observed.joined);
    equal("joins", joins, all.joined);
    equal("clients", present, observed.joined - observed.left);
    equal("loaded", loaded, observed.loaded - observed.unloaded);
    // Clients that never joined have reasons, too. Here, a connection has one document at most.
    for (std::size_t i = 0; i < RoomCounters::Reasons::count; ++i) {
        if (observed.left_for.at(i) > all.reasons.at(i))
            wrong += "too few of " + std::string{RoomCounters::Reasons::word(i)} + ". ";
    }
    if (sum(all.evictions) < observed.unloaded) wrong += "an eviction has no reason";
    return wrong;
}

/// Returns how clients and servers differ; empty if all are equal.
std::string not_in_step(OperatedRun& run) {
    for (std::size_t board = 0; board < board_count; ++board) {
        const auto text = [](YjsDocument document) {
            const auto parts = document.snapshot();
            return parts.empty() ? std::string{} : std::string{as_text(parts.front())};
        };
        const std::string all = text(run.stored(board));
        for (sim::Host* const host : run.servers) {
            auto* const rooms = host->process<OperatedRooms>();
            if (rooms == nullptr) return std::string{host->name()} + " is dead";
            const auto parts = rooms->get_state(board_name(board));
            if (parts && text(document_from({parts->begin(), parts->end()})) != all)
                return std::string{host->name()} + " differs in " + board_name(board);
        }
        for (sim::Host* const host : run.clients) {
            auto* const client = host->process<OperatedClient>();
            if (client == nullptr) return std::string{host->name()} + " is dead";
            if (client->board != board) continue;
            if (!client->editor.online() || !client->editor.synced)
                return std::string{host->name()} + " is offline";
            if (client->addresses && !client->all_acknowledged())
                return "an edit of " + std::string{host->name()} + " is not acknowledged";
            if (text(document_from({client->editor.document()})) != all)
                return std::string{host->name()} + " differs";
            // A room has two clients.
            const std::size_t at = client->author % 100;
            auto* const other =
                run.clients[(at + board_count) % run.clients.size()]->process<OperatedClient>();
            if (other == nullptr || !client->sees_only(*other))
                return std::string{host->name()} + " sees wrong cursors";
        }
    }
    return {};
}
/// Each client types, so that a server must save what is not saved yet. A server that has evicted a
/// room leaves its last edits to the next save.
/// Returns: the edits that are not saved; empty if all are.
std::string not_saved(OperatedRun& run) {
    for (sim::Host* const host : run.clients) host->process<OperatedClient>()->type(1);
    return run_until_none(run.world, 90s, [&] {
        for (const auto& [id, room] : run.late.store.rooms)
            if (!room.entries.empty()) return "a snapshot does not cover all edits of " + id;
        return not_in_step(run);
    });
}

RoomOptions operated_options() {
    RoomOptions options;
    options.save_after = 1s;
    options.loads_max = 2;
    options.answer_within = 5s;
    options.check_within = 3s;
    options.stop_within = 15s;
    options.unload_after = 4s;
    options.rooms_max = 4;
    options.waiting_max = 20;
    options.client_bytes_max = 16 << 10;
    options.unflushed_bytes_max = 32 << 10;
    return options;
}

sim::Host& operated_server(OperatedRun& run, int number) {
    return run.world.host("server " + std::to_string(number), [&run, number](sim::Host& h) {
        auto rooms = std::make_unique<OperatedRooms>(HangingRooms{run.late, run.hanging, h, number},
                                                     ListedRights{&run.rights, &h}, run.options,
                                                     OperatedRecorder{{&run.reported}, &run.world});
        h.attach(*rooms);
        rooms->start();
        h.listen(1, [r = rooms.get()](sim::Accepted a) {
            const std::string who{a.peer()};
            const auto number_of = static_cast<std::size_t>(who.back() - '0');
            RoomRequest request{
                .room_id = board_name(number_of % board_count), .token = who, .ip = who};
            Coded<sim::Accepted> transport{std::move(a)};
            if (is_addressed(number_of))
                r->accept(std::move(transport), HocuspocusProtocol{}, std::move(request));
            else
                r->accept(std::move(transport), YjsProtocol{}, std::move(request));
        });
        return rooms;
    });
}

/// Calls every server.   Returns: an error of a call; nothing if all succeed.
std::string call_all(OperatedRun& run, RoomOperators& operators) {
    const std::size_t before = run.succeeded;
    const std::size_t asked = run.asked;
    for (sim::Host* const host : run.servers) {
        auto& rooms = *host->process<OperatedRooms>();
        for (std::size_t board = 0; board < board_count; ++board)
            operators.export_room(rooms, board);
        static_cast<void>(rooms.reauthorize({}));
    }
    operators.import(*run.servers.front()->process<OperatedRooms>(), 0);
    const std::string late = run_until_none(run.world, 20s, [&] {
        return run.ended == run.asked ? std::string{} : "a call has not ended";
    });
    const bool all = run.succeeded - before == run.asked - asked;
    return !late.empty() || all ? late : "a call has failed: " + run.last_error;
}
/// Returns which call fails after the faults, or which check closes a client; empty if none does.
/// Then stops the servers.
std::string not_working(OperatedRun& run, RoomOperators& operators) {
    // The first calls may still report what a flush under the faults has left uncertain.
    static_cast<void>(call_all(run, operators));
    std::string wrong = call_all(run, operators);
    if (wrong.empty()) wrong = run_until_none(run.world, 20s, [&] { return not_in_step(run); });
    if (wrong.empty()) wrong = not_saved(run);
    for (sim::Host* const host : run.servers) wrong += miscounted(*host->process<OperatedRooms>());
    if (!wrong.empty()) return wrong;
    run.reported.clear();
    for (sim::Host* const host : run.servers) host->process<OperatedRooms>()->stop();
    run.world.run_for(run.options.stop_within);
    std::size_t stopped = 0;
    for (const std::string& line : run.reported) {
        if (!line.starts_with("stopped: ")) continue;
        if (line != "stopped: ") wrong += line;
        ++stopped;
    }
    if (stopped != run.servers.size()) wrong += "a server does not stop";
    return wrong;
}

bool operators_call_servers(sim::World& world) {
    OperatedRun& run = world.make<OperatedRun>(world);
    RoomOperators& operators = world.make<RoomOperators>(run);
    run.options = operated_options();
    run.rights.takes = std::chrono::milliseconds{world.choose("a check takes", 200)};
    world.network().window_bytes(std::size_t{250} << world.choose("window", 3));
    run.hanging.percent = static_cast<std::uint32_t>(world.choose("calls hang", 4)) * 6;
    const int count = 2 + static_cast<int>(world.choose("servers", 2));
    run.late.serve(count);
    run.late.report_by_feed();
    for (int n = 0; n < count; ++n) run.servers.push_back(&operated_server(run, n));
    for (std::uint64_t n = 0; n < 8; ++n) {
        run.clients.push_back(&world.host("client " + std::to_string(n), [&run, n](sim::Host& h) {
            return std::make_unique<OperatedClient>(h, run, n);
        }));
    }
    for (const char* const mark :
         {"a load hangs", "checks hang", "changes take a whole share",
          "a lost history begins again", "a flush without an answer", "no answer in time",
          "a history ends in use", "a client lags", "an operator removes a client",
          "a client misses a cursor", "changes are not reported"})
        world.reachable(mark);
    operators.work();
    world.run_for(20s);
    world.heal();
    run.rights.hangs = false;
    // Calls that hang since then fail first. Edits that wait for them are not stored.
    world.run_for(run.options.answer_within);
    std::string wrong = run_until_none(world, 120s, [&] {
        return run.ended == run.asked ? not_in_step(run) : "a call has not ended";
    });
    world.sometimes("a call succeeds", run.succeeded != 0);
    if (wrong.empty()) wrong = run.lost();
    if (wrong.empty()) wrong = not_working(run, operators);
    return world.require("calls end, no acknowledged edit is lost, and all are in step", wrong);
}

sim::ScenarioOptions operated_faults() {
    return {.swarm = false,
            .kills = 5,
            .pauses = 5,
            .partitions = 0,
            .latencies = 0,
            .bandwidths = 1,
            .slow_readers = 4,
            .black_holes = 5,
            .refusals = 0,
            .drops = 2,
            .half_opens = 1,
            .cuts = 2,
            .disk_refusals = 5,
            .disk_errors = 60,
            .late_disk_errors = 60,
            .exhaustions = 2,
            .within = 18s,
            .lasts_max = 3s,
            .number_max = 16};
}

}  // namespace

TEST_CASE(
    "Several servers lose no acknowledged edit under calls of operators and faults of all hosts",
    "[worlds][room][sim][property]") {
    // A quarter of the worlds that other tests have, because each one has eight clients and runs 40
    // s.
    CHECK(explored_as_wanted("rooms_operators",
                             {.seeds = world_seeds() / 4, .scenario = operated_faults()},
                             operators_call_servers));
}
