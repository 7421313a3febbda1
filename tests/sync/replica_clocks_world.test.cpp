// SPDX-License-Identifier: MIT
// Goal: no clock that is or was wrong keeps an edit from the server for ever, or loses one. Method:
// random scripts of edits, syncs, lost answers, crashes, full disks and steps of the clocks of two
// devices. Then the clocks are right, and everything must be equal within a few syncs.
#include <belay/sync/replica.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ClocksWorld {
    using Contents = std::map<std::string, std::string>;
    struct Member {
        WallTime time{};  // by the device's own clock
        Duration wrong{};
        std::unique_ptr<Device<>> device{};
    };

    ClocksWorld(Seed seed, bool steps) : server_steps{steps}, bits{seed} {
        for (std::size_t i = 0; i < members.size(); ++i) {
            Member& one = members[i];
            if (any(4) != 0) one.wrong = i == 0 ? Duration{24h * 365} : Duration{-24h * 20};
            read_clocks();
            one.device = std::make_unique<Device<>>(
                bits(), SharedWall{&one.time},
                ReplicaOptions{.batch_operations = 1 + static_cast<std::size_t>(any(4))});
        }
    }
    std::uint64_t any(std::uint64_t below) { return uniform_upto(bits, below - 1); }
    void read_clocks() {
        server_time = WallTime{time.time_since_epoch() + server_wrong};
        for (Member& one : members) one.time = WallTime{time.time_since_epoch() + one.wrong};
    }
    void pass(Duration by) {
        time += by;
        read_clocks();
    }
    void step_clock(Duration& wrong) {
        switch (any(5)) {
            case 0:
                wrong = 24h * 365;
                break;
            case 1:
                wrong = -24h * 20;
                break;
            case 2:
                wrong = Duration{1min} * (static_cast<int>(any(240)) - 120);
                break;
            default:
                wrong = {};
        }
        read_clocks();
    }
    void edit(Device<>& device) {
        const std::string element{static_cast<char>('a' + any(3))};
        const std::string text = std::to_string(++texts);
        Operation<std::string>::Action action = RemoveElement{element};
        const std::uint64_t kind = any(8);
        const bool has_text = kind < 6;
        if (kind < 4) action = UpdateElement<std::string>{element, text};
        if (kind == 4 || kind == 5) action = AddElement<std::string>{element, text};
        if (kind == 6) action = Interaction{element, text};
        const auto before = device.view();
        const auto id = device.replica->edit(action);
        const auto at = before.find(element);
        if (at != before.end() && kind != 6) seen.insert(at->second);
        if (id && has_text) durable.insert(text);
    }
    auto sync(Device<>& device) {
        return device.replica->sync(server, [&](const auto& report) { read(report); });
    }
    void read(const Device<>::Replica::Report& report) {
        for (const auto& one : report.conflicts) note(one.operation);
        for (const auto& one : report.overwrote) {
            if (one.replaced.value) reported.insert(*one.replaced.value);
        }
        for (const auto& one : report.replaced) {
            if (one.mine.value) reported.insert(*one.mine.value);
        }
    }
    void note(const Op& op) {
        if (op.kind() == OperationKind::add || op.kind() == OperationKind::update) {
            reported.insert(op.value());
        }
    }
    void step() {
        Member& member = members[any(members.size())];
        Device<>& device = *member.device;
        pass(1ms * static_cast<int>(any(5'000)));
        if (any(40) == 0) pass(1min * static_cast<int>(any(90)));
        if (any(10) == 0) step_clock(member.wrong);
        if (server_steps && any(10) == 0) {
            // The server's clock is wrong by hours only. With an error of a year, it would forget
            // all removals.
            server_wrong = any(2) == 0 ? Duration{} : 1min * (static_cast<int>(any(1440)) - 720);
        }
        server.lose_in = any(3) == 0 ? 1 + any(8) : 0;
        server.page_size = 1 + any(3);
        device.store.fail_in = any(8) == 0 ? 1 + any(20) : 0;
        if (any(6) == 0) device.disk.halt_at(device.disk.operations() + 1 + any(12));
        if (any(12) == 0) {
            device.disk.fail_at(device.disk.operations() + 1 + any(4),
                                std::make_error_code(std::errc::no_space_on_device));
        }
        const std::uint64_t what = any(9);
        if (what < 4) {
            edit(device);
        } else if (what == 4) {
            decide_kept(device);
        } else {
            static_cast<void>(sync(device));
        }
        device.store.fail_in = 0;
        if (device.journal->failed() || any(8) == 0) restart(device);
    }
    /// The application drops an edit that the server rejected, or sends it again.
    void decide_kept(Device<>& device) {
        const auto kept = device.replica->kept();
        if (kept.empty()) return;
        const Op& op = kept[static_cast<std::size_t>(any(kept.size()))].operation;
        if (any(2) == 0) {
            device.replica->send_again(op.id);
        } else {
            note(op);
            static_cast<void>(device.replica->drop(op.id));
        }
    }
    void restart(Device<>& device) {
        const bool kills = !device.journal->failed() && any(2) == 0;
        if (kills) {
            device.disk.kill();
        } else {
            device.disk.crash(bits);
        }
        REQUIRE(device.start());
    }
    /// Corrects the clocks, and ends all faults.
    void settle() {
        server.lose_in = 0;
        server_wrong = {};
        for (Member& one : members) one.wrong = {};
        read_clocks();
        for (Member& one : members) {
            one.device->disk.mend();
            one.device->disk.crash(bits);
            REQUIRE(one.device->start());
        }
        for (int round = 0; round < 3; ++round) {
            pass(3h);
            for (Member& one : members) {
                const auto report = sync(*one.device);
                INFO(report.error.message());
                REQUIRE_FALSE(report.error);
            }
        }
    }
    void verify() {
        Contents contents;
        store.for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            contents.emplace(std::string{id}, text);
            reported.insert(text);
        });
        for (Member& one : members) {
            for (const auto& kept : one.device->replica->kept()) {
                UNSCOPED_INFO("kept: " << kept.error.message() << " " << kept.operation.element());
            }
            CHECK(one.device->replica->waiting() == 0);
            CHECK(one.device->view() == contents);
            CHECK(one.device->journal->size() == 0);
        }
        for (const std::string& text : durable) {
            INFO("text " << text);
            CHECK((reported.count(text) != 0 || seen.count(text) != 0));
        }
    }

    WallTime time{24h * 365 * 50};
    WallTime server_time{time};
    Duration server_wrong{};
    const bool server_steps;  // whether the server's clock is wrong at times, too
    Memory store{};
    using Processor =
        SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall>;
    Processor processor{std::ref(store),
                        LastWriteWins{},
                        {.transaction_operations = 2},
                        {},
                        SharedWall{&server_time}};
    LossyServer<Processor> server{processor};
    Random bits;
    std::array<Member, 2> members{};
    std::set<std::string> durable{};
    std::set<std::string> seen{};
    std::set<std::string> reported{};
    std::uint64_t texts = 0;
};

void play_clocks(bool server_steps) {
    // 500 histories, or BELAY_SEEDS.
    for_each_seed(
        [&](Seed seed) {
            ClocksWorld world{seed, server_steps};
            const std::uint64_t steps = 10 + world.any(50);
            for (std::uint64_t i = 0; i < steps; ++i) world.step();
            world.settle();
            world.verify();
        },
        from_environment("BELAY_SEEDS", 500));
}

}  // namespace

TEST_CASE("Replica sends every edit after its clock was wrong by a year", "[sync][replica][sim]") {
    play_clocks(false);
}

TEST_CASE("Replica sends every edit after its clock and that of the server were wrong",
          "[sync][replica][sim]") {
    play_clocks(true);
}
