// SPDX-License-Identifier: MIT
// A server of rooms beside those of y-websocket and hocuspocus, under load from real sockets on this
// machine: how soon an edit is seen, and what it costs in processor time, memory and bytes sent.
//
// Each server is a process of its own. What belongs together is measured in one go, all servers alive
// and a piece of each in turn, so that what slows the machine slows all of them. Where node or its
// packages are missing, their rows are, too. With BELAY_BENCH_QUICK in the environment it is all small.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "load_clients.hpp"
#include "process.hpp"
#include "queue/compared_queues.hpp"
#include "yjs_writer.hpp"

namespace {

using belay_bench::Scratch;
using namespace room_bench;

const bool quick = std::getenv("BELAY_BENCH_QUICK") != nullptr;

/// A server that can be started.
struct Kind {
    const char* name;  ///< "belay" waits for the disk before anybody sees an edit
    std::vector<std::string> words;
    Dialect dialect = Dialect::y_websocket;
    bool echoes = true;  ///< also to the author of an edit
};

Kind ours(const char* name, const char* store) {
    return {name, {BELAY_ROOM_SERVER, store}, {}, false};
}
const Kind synced = ours("belay", "synced");
const Kind unsynced = ours("unsynced", "unsynced");
const Kind in_memory = ours("in_memory", "memory");

const std::vector<Kind>& others() {
    static const std::vector<Kind> kinds = [] {
        const std::string scripts = BELAY_ROOM_PEERS;
        std::vector<Kind> found;
        if (!std::filesystem::exists(scripts + "/node_modules/ws") ||
            std::system("node --version >/dev/null 2>&1") != 0)
            return found;
        const auto add = [&](const char* name, Dialect dialect) {
            found.push_back(
                {name, {"node", "--expose-gc", scripts + "/" + name + ".mjs"}, dialect});
        };
        add("y_websocket", Dialect::y_websocket);
        add("hocuspocus", Dialect::hocuspocus);
        return found;
    }();
    return kinds;
}
std::vector<Kind> with_others(std::initializer_list<Kind> some) {
    std::vector<Kind> all{some};
    all.insert(all.end(), others().begin(), others().end());
    return all;
}

/// A server, and its clients.
struct ServerFixture {
    explicit ServerFixture(const Kind& k)
        : kind{k}, process{words()}, load_clients{process.port(), k.dialect} {}

    [[nodiscard]] std::vector<std::string> words() const {
        std::vector<std::string> all = kind.words;
        if (all.front() != "node") all.push_back(scratch / ".");
        return all;
    }

    Kind kind;
    Scratch scratch;
    Process process;
    LoadClients load_clients;
};
using Stages = std::vector<std::unique_ptr<ServerFixture>>;

Stages stages_of(const std::vector<Kind>& kinds) {
    Stages stages;
    for (const Kind& kind : kinds) stages.push_back(std::make_unique<ServerFixture>(kind));
    return stages;
}

/// What was found, by "operation/implementation".
using Figures = std::map<std::string, double>;

double at_share(std::vector<double>& sorted, double share) {
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * share)];
}
double milliseconds_since(Steady::time_point begin) {
    return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

// ---- how soon an edit is seen ------------------------------------------------------------------

/// The disk's part: an update's bytes into a file whose space is there.
class Disk {
public:
    Disk() : file_{::open((scratch_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)} {
        const std::vector<char> zeros(1 << 20);
        for (int i = 0; i < 4; ++i) {
            if (::write(file_, zeros.data(), zeros.size()) < 0) throw std::runtime_error{"no disk"};
        }
        ::fsync(file_);
    }
    ~Disk() { ::close(file_); }

    [[nodiscard]] double flush() {
        const char record[100] = {};
        const auto begin = Steady::now();
        at_ += static_cast<off_t>(sizeof record);
        if (::pwrite(file_, record, sizeof record, at_) < 0 || ::fdatasync(file_) != 0)
            throw std::runtime_error{"no disk"};
        return milliseconds_since(begin);
    }

private:
    Scratch scratch_;
    int file_;
    off_t at_ = 0;
};

/// From an edit to the last of 20 peers.
class Edits {
public:
    explicit Edits(ServerFixture& fixture) : load_clients_{&fixture.load_clients} {
        load_clients_->fill("edits", peers + 1);
    }

    [[nodiscard]] double one() {
        Client& writer = (*load_clients_)[0];
        const Bytes update = yjs_writer_.type("x");
        // Some servers tell the author, too.
        const auto delivered_now = [&] {
            return load_clients_->counts().updates - writer.counts().updates;
        };
        const std::uint64_t enough = delivered_now() + peers;
        const auto begin = Steady::now();
        writer.update(update);
        load_clients_->until([&] { return delivered_now() >= enough; });
        return milliseconds_since(begin);
    }

private:
    static constexpr std::size_t peers = 20;
    LoadClients* load_clients_;
    YjsWriter yjs_writer_{1'000};
};

/// The times of all edits, in milliseconds.
class EditTimes {
public:
    /// Some edits to each server, one after the other as a server has them, and a flush after each
    /// one to a peer. The order of the servers alternates.
    void round(std::vector<Edits>& all, const Stages& stages, bool reverse) {
        Times round;
        for (std::size_t n = 0; n < all.size(); ++n) {
            const std::size_t i = reverse ? all.size() - 1 - n : n;
            for (int edit = 0; edit < edits_each; ++edit)
                measure(all[i].one(), stages[i]->kind.name, round);
        }
        for (auto& [name, times] : round) {
            with_disk_[name].insert(with_disk_[name].end(), times.begin(), times.end());
            of_ours_[name].push_back(at_share(times, 0.5) / at_share(round[synced.name], 0.5));
        }
    }
    [[nodiscard]] Figures figures() {
        Figures found;
        for (const auto& [share, name] : {std::pair{0.5, "p50"}, std::pair{0.99, "p99"}}) {
            for (auto& [who, times] : with_disk_)
                found[std::string{"edit_to_20_"} + name + "/" + who] = at_share(times, share);
            for (auto& [who, times] : without_)
                found[std::string{"edit_to_20_unsynced_"} + name + "/" + who] =
                    at_share(times, share);
        }
        for (auto& [who, ratios] : of_ours_)
            found["edit_to_20_in_pairs/" + who] = at_share(ratios, 0.5);
        return found;
    }

private:
    static constexpr int edits_each = 10;
    using Times = std::map<std::string, std::vector<double>>;

    void measure(double edit, const std::string& name, Times& round) {
        if (name == synced.name) return round[name].push_back(edit);
        without_[name == unsynced.name ? synced.name : name].push_back(edit);
        if (name == unsynced.name || name == in_memory.name) return;
        const double flush = disk_.flush();
        with_disk_["fsync_alone"].push_back(flush);
        round[name + "_and_fsync"].push_back(edit + flush);
    }

    Disk disk_;
    Times with_disk_;
    Times without_;
    Times of_ours_;  // the median of a round by that of ours in the same round
};

/// Servers that wait for no disk, beside ours that does not either; and with a flush after each edit,
/// beside ours that waits for it.
Figures edits() {
    Stages stages = stages_of(with_others({synced, unsynced, in_memory}));
    std::vector<Edits> all;
    for (const auto& fixture : stages) all.emplace_back(*fixture);
    EditTimes times;
    for (int round = 0; round < (quick ? 1 : 100); ++round)
        times.round(all, stages, round % 2 != 0);
    return times.figures();
}

// ---- a burst -----------------------------------------------------------------------------------

/// One author sends 30 updates of 100 kB at once. Each of 20 readers must have all 3 MB, in whatever
/// pieces; a reader that is closed ends the measurement.
class Bursts {
public:
    explicit Bursts(ServerFixture& fixture) : load_clients_{&fixture.load_clients} {}

    [[nodiscard]] double one() {
        const std::string room = "burst" + std::to_string(++rooms_);
        load_clients_->keep(0);
        load_clients_->fill(room, readers + 1);
        YjsWriter yjs_writer{2'500 + rooms_};
        const std::string text(update_bytes, 'x');
        for (std::size_t i = 1; i <= readers; ++i) (*load_clients_)[i].keep_updates();
        const auto has_all = [&](std::size_t i) {
            return (*load_clients_)[i].counts().update_bytes >= updates * update_bytes;
        };
        const auto begin = Steady::now();
        for (std::size_t n = 0; n < updates; ++n) (*load_clients_)[0].update(yjs_writer.type(text));
        load_clients_->until([&] {
            std::size_t i = 1;
            while (i <= readers && has_all(i)) ++i;
            return i > readers;
        });
        const double took = milliseconds_since(begin);
        for (std::size_t i = 1; i <= readers; ++i) compare((*load_clients_)[i], yjs_writer.id());
        return took;
    }

private:
    /// Bytes that came twice would end the measurement too early.
    static void compare(const Client& reader, std::uint64_t author) {
        const auto merged = belay::yjs::merge_updates(reader.kept());
        if (!merged) throw std::runtime_error{"a server sends what is not an update"};
        Bytes expected;
        for (const std::uint64_t n : {std::uint64_t{1}, author, updates * update_bytes})
            belay::yjs::append_varuint(expected, n);
        if (belay::yjs::state_vector(merged->update).value() != expected)
            throw std::runtime_error{"a reader has not all of a burst"};
    }

    static constexpr std::uint64_t updates = 30;
    static constexpr std::uint64_t update_bytes = 100'000;
    static constexpr std::size_t readers = 20;
    LoadClients* load_clients_;
    std::uint64_t rooms_ = 0;
};

Figures bursts() {
    const int blocks = quick ? 1 : 15;
    Stages stages = stages_of(with_others({synced, unsynced, in_memory}));
    std::vector<Bursts> all;
    for (const auto& fixture : stages) all.emplace_back(*fixture);
    std::map<std::string, std::vector<double>> times;
    for (int block = 0; block < blocks; ++block) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            const std::string name = stages[i]->kind.name;
            const double cpu = stages[i]->process.cpu_seconds();
            const double took = all[i].one();
            if (block == 0 && !quick) continue;
            times["burst_3_mb_to_20/" + name].push_back(took);
            times["burst_3_mb_to_20_cpu/" + name].push_back(
                (stages[i]->process.cpu_seconds() - cpu) * 1e3);
        }
    }
    Figures found;
    for (auto& [name, each] : times) found[name] = at_share(each, 0.5);
    return found;
}

// ---- what a delivered update costs -------------------------------------------------------------

/// Of so many clients so many say something at the same time, again and again.
struct Load {
    Load(ServerFixture& s, const std::string& room, std::size_t all, std::size_t writers)
        : fixture{&s}, clients{all} {
        s.load_clients.fill(room, all);
        for (std::size_t i = 0; i < writers; ++i) yjs_writers.emplace_back(2'000 + i);
    }
    void run(int rounds) {
        LoadClients& load_clients = fixture->load_clients;
        const double cpu = fixture->process.cpu_seconds();
        const std::uint64_t before = load_clients.counts().updates;
        const std::size_t each =
            yjs_writers.size() * (fixture->kind.echoes ? clients : clients - 1);
        for (int n = 0; n < rounds; ++n) {
            const std::uint64_t enough = load_clients.counts().updates + each;
            for (std::size_t i = 0; i < yjs_writers.size(); ++i)
                load_clients[i].update(yjs_writers[i].type("x"));
            load_clients.until([&] { return load_clients.counts().updates >= enough; });
        }
        seconds += fixture->process.cpu_seconds() - cpu;
        delivered += static_cast<double>(load_clients.counts().updates - before);
    }
    [[nodiscard]] double microseconds_each() const { return seconds / delivered * 1e6; }

    ServerFixture* fixture;
    std::size_t clients;
    std::vector<YjsWriter> yjs_writers{};
    double seconds = 0;
    double delivered = 0;
};

Figures hundred() {
    const std::size_t clients = quick ? 10 : 100;
    const int blocks = quick ? 1 : 5;
    Figures found;
    Stages stages = stages_of(with_others({synced, unsynced}));
    for (const std::size_t writers : {std::size_t{1}, std::size_t{10}}) {
        const int rounds = quick ? 1 : writers == 1 ? 50 : 10;
        std::vector<Load> loads;
        for (const auto& fixture : stages) {
            fixture->load_clients.keep(0);
            loads.emplace_back(*fixture, "room" + std::to_string(writers), clients, writers);
            loads.back().run(rounds);  // node compiles what is hot
            loads.back().seconds = loads.back().delivered = 0;
        }
        for (int block = 0; block < blocks; ++block) {
            for (Load& load : loads) load.run(rounds);
        }
        for (const Load& load : loads) {
            found["cpu_per_delivery_" + std::to_string(writers) + "_writing/" +
                  load.fixture->kind.name] = load.microseconds_each();
        }
    }
    return found;
}

// ---- what a client that takes nothing costs ----------------------------------------------------

double grown_by(const Kind& kind, bool stalls) {
    const int updates = quick ? 20 : 1'500;
    ServerFixture fixture{kind};
    fixture.load_clients.fill("stalled", stalls ? 3 : 2);
    if (stalls) fixture.load_clients.stall(fixture.load_clients[2]);
    YjsWriter yjs_writer{3'000};
    const std::string value(20'000, 'v');
    const double before = fixture.process.resident_bytes();
    for (int i = 0; i < updates; ++i) {
        const std::uint64_t enough = fixture.load_clients[1].counts().updates + 1;
        fixture.load_clients[0].update(yjs_writer.set(value));
        fixture.load_clients.until(
            [&] { return fixture.load_clients[1].counts().updates >= enough; });
    }
    // Has everything merged that waits to be: what that takes is no client's.
    fixture.load_clients.fill("stalled", 1);
    return fixture.process.resident_bytes() - before;
}
/// One key is set to 20 kB, 1,500 times: 30 MB that one client does not take, of a small document.
Figures stalled() {
    Figures found;
    for (const Kind& kind : with_others({synced})) {
        found[std::string{"stalled_client/"} + kind.name] =
            (grown_by(kind, true) - grown_by(kind, false)) / 1e6;
    }
    return found;
}

// ---- what a room costs that nobody uses --------------------------------------------------------

/// Documents of 100 letters. hocuspocus forgets a room when its last client goes: there one client is
/// in all of them, over one connection. Elsewhere they are visited, and left.
class Visits {
public:
    explicit Visits(ServerFixture& fixture) : fixture_{&fixture} {
        fixture.load_clients.fill("first", 1);
    }

    void make(std::size_t first, std::size_t count) {
        LoadClients& load_clients = fixture_->load_clients;
        await(count, [&](std::size_t i) {
            shares() ? load_clients[0].join(name(first + i))
                     : void(load_clients.dial(name(first + i)));
        });
        for (std::size_t i = 0; i < count; ++i)
            client(i).update_of(name(first + i), YjsWriter{4'000 + first + i}.type(letters_));
        // The answer says that the update was read.
        await(count, [&](std::size_t i) { client(i).request_state(name(first + i)); });
        load_clients.keep(1);
    }

private:
    [[nodiscard]] bool shares() const { return fixture_->kind.dialect == Dialect::hocuspocus; }
    [[nodiscard]] Client& client(std::size_t i) {
        return fixture_->load_clients[shares() ? 0 : i + 1];
    }
    [[nodiscard]] static std::string name(std::size_t i) { return "room" + std::to_string(i); }
    template <class F>
    void await(std::size_t count, F each) {
        const ClientCounts& counts = fixture_->load_clients.counts();
        const std::uint64_t enough = counts.synced + count;
        for (std::size_t i = 0; i < count; ++i) each(i);
        fixture_->load_clients.until([&] { return counts.synced >= enough; });
    }

    ServerFixture* fixture_;
    std::string letters_ = std::string(100, 'x');
};

Figures idle() {
    constexpr std::size_t at_once = 50;
    const std::size_t rooms = quick ? at_once : 9'950;
    Figures found;
    for (const Kind& kind : with_others({ours("belay", "unsynced")})) {
        ServerFixture fixture{kind};
        Visits visits{fixture};
        const double before = fixture.process.resident_bytes();
        for (std::size_t i = 0; i < rooms; i += at_once) visits.make(i, at_once);
        fixture.load_clients.until_quiet(100);
        found[std::string{"idle_room/"} + kind.name] =
            (fixture.process.resident_bytes() - before) / static_cast<double>(rooms);
    }
    return found;
}

// ---- what a reconnect sends --------------------------------------------------------------------

/// A text of 1 MB, 1,000 letters of which were deleted, of a client that has all of it.
Figures reconnect() {
    YjsWriter yjs_writer{5'000};
    ClientDocument document;
    document.update = yjs_writer.text_with_holes(1'000'000, 1'000);
    document.vector = belay::yjs::state_vector(document.update).value();
    Figures found;
    for (const Kind& kind : with_others({ours("belay", "unsynced")})) {
        ServerFixture fixture{kind};
        LoadClients& load_clients = fixture.load_clients;
        const auto join = [&](const ClientDocument& has) {
            const ClientCounts& counts = load_clients.dial("large", has).counts();
            load_clients.until([&] { return counts.synced != 0 && counts.answered != 0; });
            load_clients.until_quiet(50);
            return static_cast<double>(counts.bytes);
        };
        const ClientDocument nothing;
        join(document);
        const double all = join(nothing);
        if (all < 990'000) throw std::runtime_error{"a server has lost the document"};
        found[std::string{"reconnect_1_mb/"} + kind.name] = join(document);
    }
    return found;
}

// ---- a thousand clients in a room --------------------------------------------------------------

Figures thousand() {
    const std::size_t clients = quick ? 20 : 1'000;
    const std::size_t speakers = quick ? 5 : 50;
    Figures found;
    for (const Kind& kind : with_others({synced})) {
        ServerFixture fixture{kind};
        LoadClients& load_clients = fixture.load_clients;
        const auto note = [&](const char* what, double value) {
            found["thousand_clients/" + std::string{what} + "/" + kind.name] = value;
        };
        const double before = fixture.process.resident_bytes();
        const auto begin = Steady::now();
        Load load{fixture, "thousand", clients, 1};
        note("join", milliseconds_since(begin));
        note("memory_of_each",
             (fixture.process.resident_bytes() - before) / static_cast<double>(clients));
        load.run(quick ? 1 : 5);
        load.seconds = load.delivered = 0;
        load.run(quick ? 1 : 20);
        note("cpu_per_delivery", load.microseconds_each());

        // All speak at the same time, and everybody hears of all.
        const double cpu = fixture.process.cpu_seconds();
        for (std::size_t i = 0; i < speakers; ++i)
            load_clients[i].awareness(
                YjsWriter{6'000 + i}.awareness(R"({"cursor":{"x":100,"y":200}})"));
        load_clients.until(
            [&] { return load_clients.counts().awareness_states >= clients * speakers; });
        const double expected = static_cast<double>(clients * speakers);
        note("frames_of_50_speakers", static_cast<double>(load_clients.counts().awareness_frames) /
                                          static_cast<double>(clients));
        note("cpu_per_told_state", (fixture.process.cpu_seconds() - cpu) / expected * 1e6);
    }
    return found;
}

// ---- the rows ----------------------------------------------------------------------------------

/// Run once, when the first of its rows is asked for.
struct Scenario {
    Figures (*run)();
    std::optional<Figures> found{};
    std::string error{};

    const Figures& figures() {
        if (!found) {
            found.emplace();
            try {
                *found = run();
            } catch (const std::exception& e) {
                error = e.what();
            }
        }
        return *found;
    }
};

void row(Scenario& scenario, const std::string& name, const char* counter) {
    const auto show = [&scenario, name, counter](benchmark::State& state) {
        const Figures& figures = scenario.figures();
        const auto at = figures.find(name);
        for (auto _ : state) {
        }
        if (at == figures.end()) {
            return state.SkipWithError(scenario.error.empty() ? "there is no such figure"
                                                              : scenario.error.c_str());
        }
        // A brief run may measure nothing, and ratios are of something.
        state.counters[counter] = std::max(at->second, 1e-9);
    };
    benchmark::RegisterBenchmark(("room/servers/" + name).c_str(), show)->Iterations(1);
}

void rows(Scenario& scenario, const std::string& operation, const char* counter,
          std::initializer_list<const char*> mine, const char* suffix = "") {
    for (const char* name : mine) row(scenario, operation + "/" + name, counter);
    for (const Kind& kind : others()) row(scenario, operation + "/" + kind.name + suffix, counter);
}

const bool registered = [] {
    static Scenario delivered_now{edits};
    static Scenario burst{bursts};
    static Scenario cost{hundred};
    static Scenario slow{stalled};
    static Scenario quiet{idle};
    static Scenario back{reconnect};
    static Scenario many{thousand};
    rows(delivered_now, "edit_to_20_in_pairs", "of_belay_in_its_round", {"belay"}, "_and_fsync");
    for (const char* share : {"p50", "p99"}) {
        rows(delivered_now, std::string{"edit_to_20_"} + share, "milliseconds",
             {"belay", "fsync_alone"}, "_and_fsync");
        rows(delivered_now, std::string{"edit_to_20_unsynced_"} + share, "milliseconds",
             {"belay", "in_memory"});
    }
    for (const char* what : {"burst_3_mb_to_20", "burst_3_mb_to_20_cpu"})
        rows(burst, what, "milliseconds", {"belay", "unsynced", "in_memory"});
    for (const char* writers : {"1", "10"}) {
        rows(cost, std::string{"cpu_per_delivery_"} + writers + "_writing", "microseconds_each",
             {"belay", "unsynced"});
    }
    rows(slow, "stalled_client", "megabytes", {"belay"});
    rows(quiet, "idle_room", "bytes_each", {"belay"});
    rows(back, "reconnect_1_mb", "bytes_in_all", {"belay"});
    rows(many, "thousand_clients/join", "milliseconds", {"belay"});
    rows(many, "thousand_clients/memory_of_each", "bytes_each", {"belay"});
    rows(many, "thousand_clients/cpu_per_delivery", "microseconds_each", {"belay"});
    rows(many, "thousand_clients/frames_of_50_speakers", "frames_each", {"belay"});
    rows(many, "thousand_clients/cpu_per_told_state", "microseconds_each", {"belay"});
    return true;
}();

}  // namespace
