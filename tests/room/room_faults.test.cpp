// SPDX-License-Identifier: MIT
// Goal: under all faults at once what any client has received is there after restarts, and all
// clients that come back agree; frames of no sense disturb nobody. Method: seeded worlds.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/room_world.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

RoomOptions small_room_options() {
    RoomOptions options;
    options.client_bytes_max = 400;
    options.piece_bytes_max = 1024;
    options.unload_after = 1min;
    options.sweep_every = 20s;
    options.save_after = 2s;
    options.save_within = 5s;
    options.answer_within = 5s;
    options.check_within = 3s;
    return options;
}

/// Everything that can go wrong, by chance.
struct Chaos {
    explicit Chaos(Seed seed) : w{seed, small_room_options()} {
        w.world.network().window_bytes(600);
        for (std::uint64_t i = 1; i <= 4; ++i) {
            const std::string name = "e" + std::to_string(i);
            editors.push_back(i % 2 == 0 ? std::make_unique<RoomEditor>(w, name, i)
                                         : std::make_unique<RoomEditor>(RoomEditor::addressed(
                                               w, name, i, std::string_view{"board\0x", 7})));
        }
        w.disk.flush_takes = std::chrono::milliseconds(draw(1) == 0 ? draw(20) : draw(500));
        w.disk.load_takes = std::chrono::milliseconds(draw(500));
        w.disk.save_takes = std::chrono::milliseconds(draw(3000));
        w.disk.keeps_failed = draw(1) == 0;
        if (draw(2) == 0) w.world.network().cut_one_in(50);
    }
    std::uint64_t draw(std::uint64_t most) { return uniform_upto(w.world.bits(), most); }

    void one() {
        RoomEditor& editor = *editors[draw(editors.size() - 1)];
        switch (draw(20)) {
            case 0:
                w.disk.fail_flushes += static_cast<int>(draw(2));
                break;
            case 1:
                w.disk.fail_saves += static_cast<int>(draw(3));
                break;
            case 2:
                w.disk.fail_loads += static_cast<int>(draw(1));
                break;
            case 3:
                w.disk.full = !w.disk.full;
                break;
            case 4:
                crash();
                break;
            case 5:
                w.world.network().partition(w.server, editor.host());
                break;
            case 6:
                w.world.network().heal_all();
                break;
            case 7:
                w.world.network().drop_connections(w.server, editor.host());
                break;
            case 8:
                editor.stall(true);
                break;
            case 9:
                editor.stall(false);
                break;
            case 10:
                editor.hang_up();
                break;
            case 11:
                editor.show("{}");
                break;
            case 12:
                w.run(std::chrono::seconds(draw(90)));
                break;
            default:
                if (!editor.online()) editor.dial();
                typed_by_all.push_back(editor.type(std::string(1 + draw(40), 'x')));
                break;
        }
        w.run(std::chrono::milliseconds(draw(200)));
        if (++steps % 10 == 0) check_claims();
        for (const auto& e : editors) {
            if (!e->online() && draw(3) == 0) e->dial();
        }
    }
    /// What any client has must be on the disk, or have been written by itself.
    void crash() {
        seen_before_crash = seen();
        w.disk.saving = 0;
        w.world.restart(w.server);
        check_kept();
    }
    /// What each has of the others.
    std::vector<Bytes> seen() {
        std::vector<Bytes> all;
        for (std::size_t i = 0; i < editors.size(); ++i) {
            for (const Bytes& update : typed_by_all) {
                if (update[2] != static_cast<std::byte>(i + 1) && editors[i]->has(update))
                    all.push_back(update);
            }
        }
        return all;
    }
    /// Who was told that all of theirs is durable was told the truth.
    void check_claims() {
        YjsDocument stored = on_disk();
        for (std::size_t i = 0; i < editors.size(); i += 2) {
            if (editors[i]->unsynced != 0) continue;
            ++claims;
            for (const Bytes& update : typed_by_all) {
                if (update[2] == static_cast<std::byte>(i + 1) &&
                    stored.check(update).value_or(true))
                    ++lies;
            }
        }
    }
    YjsDocument on_disk() {
        YjsDocument stored;
        w.disk.durable.load(
            "board", Completion<LoadedRoom>{[&](std::optional<LoadedRoom> found) noexcept {
                if (!found || !found->has_value() || !**found) return;
                for (const auto* part : {&(**found)->snapshot, &(**found)->updates}) {
                    for (const Bytes& u : *part) static_cast<void>(stored.apply(u));
                }
            }});
        static_cast<void>(stored.state_vector());
        return stored;
    }
    void check_kept() {
        YjsDocument stored = on_disk();
        for (const Bytes& update : seen_before_crash)
            if (stored.check(update).value_or(true)) ++lost;
    }
    void calm() {
        w.world.network().heal_all();
        w.world.network().cut_one_in(0);
        w.disk.fail_flushes = w.disk.fail_saves = w.disk.fail_loads = 0;
        w.disk.full = false;
        for (int round = 0; round < 60; ++round) {
            for (const auto& e : editors) {
                e->stall(false);
                if (!e->online()) e->dial();
            }
            w.run(2s);
        }
    }

    RoomWorld w;
    std::vector<std::unique_ptr<RoomEditor>> editors;
    std::vector<Bytes> typed_by_all;
    std::vector<Bytes> seen_before_crash;
    int lost = 0;
    int steps = 0;
    int claims = 0;
    int lies = 0;
};

}  // namespace

TEST_CASE("RoomManager: under all faults nothing is lost that anybody has seen, and all agree",
          "[room][room_faults][sim]") {
    for_each_seed(
        [](Seed seed) {
            Chaos chaos{seed};
            for (int i = 0; i < 150; ++i) chaos.one();
            chaos.calm();
            CHECK(chaos.lost == 0);
            chaos.check_claims();
            CHECK(chaos.claims != 0);
            CHECK(chaos.lies == 0);
            for (const auto& e : chaos.editors) {
                CHECK(e->document() == chaos.editors.front()->document());
                for (const Bytes& update : chaos.typed_by_all) CHECK(e->has(update));
            }
            CHECK(chaos.editors[0]->unsynced + chaos.editors[2]->unsynced == 0);
            chaos.crash();
            CHECK(chaos.lost == 0);
            CHECK(chaos.w.disk.saving_max == 1);
        },
        300);
}

TEST_CASE("RoomManager over a log: what was seen is there after each power loss",
          "[room][room_faults][sim]") {
    for_each_seed(
        [](Seed seed) {
            using Rooms = RoomManager<JournalRoomsOnDisk, EveryoneEdits>;
            sim::World world{seed};
            std::uint64_t starts = 0;
            sim::Host& server = world.host("server", [&](sim::Host& h) {
                auto opened = open_rooms(h.disk(), {.log_bytes_max = 8192}, ++starts);
                REQUIRE(opened);
                auto rooms = std::make_unique<Rooms>(std::move(*opened), EveryoneEdits{},
                                                     small_room_options());
                h.attach(*rooms);
                rooms->start();
                h.listen(1, [r = rooms.get()](sim::Accepted a) {
                    r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                              {.board = "board"});
                });
                return rooms;
            });
            RoomEditor alice{world, "alice", 1};
            RoomEditor bob{world, "bob", 2};
            std::vector<Bytes> by_alice;
            for (int life = 0; life < 10; ++life) {
                alice.dial();
                bob.dial();
                const std::uint64_t edits = 1 + uniform_upto(world.bits(), 30);
                for (std::uint64_t i = 0; i < edits; ++i) {
                    by_alice.push_back(alice.type(std::string(1 + i, 'x')));
                    world.run_for(std::chrono::milliseconds(uniform_upto(world.bits(), 400)));
                }
                std::vector<Bytes> seen;
                for (const Bytes& update : by_alice) {
                    if (bob.has(update)) seen.push_back(update);
                }
                alice.hang_up();
                bob.hang_up();
                world.restart(server);
                RoomEditor reader{world, "reader" + std::to_string(life), 3};
                reader.dial();
                world.run_for(2s);
                CHECK(reader.synced);
                for (const Bytes& update : seen) CHECK(reader.has(update));
            }
        },
        200);
}

TEST_CASE("RoomManager: frames of no sense: no crash, no hang, nobody else notices",
          "[room][room_faults][sim]") {
    for_each_seed(
        [](Seed seed) {
            RoomWorld w{seed};
            RoomEditor alice{w, "alice", 1};
            RoomEditor bob{w, "bob", 2};
            RoomEditor mallory{w, "mallory", 3};
            alice.dial();
            bob.dial();
            w.run(1s);
            Random& bits = w.world.bits();
            const YjsProtocol protocol;
            std::vector<Bytes> seeds{
                protocol.write({RoomMessage::Kind::update, typed(3, 0, "hello")}),
                protocol.write({RoomMessage::Kind::state_vector,
                                Bytes{std::byte{1}, std::byte{1}, std::byte{5}}}),
                protocol.write({RoomMessage::Kind::awareness, awareness_of(3, 7, "{\"a\":[1,2]}")}),
                protocol.write({RoomMessage::Kind::query_awareness, {}}),
                protocol.write({RoomMessage::Kind::denied, as_bytes("no")})};
            for (int i = 0; i < 100; ++i) {
                if (!mallory.online()) {
                    mallory.dial();
                    w.run(100ms);
                }
                Bytes frame = seeds[uniform_upto(bits, seeds.size() - 1)];
                for (std::uint64_t n = uniform_upto(bits, 3); n != 0 && !frame.empty(); --n) {
                    const std::size_t at = uniform_upto(bits, frame.size() - 1);
                    const auto b = static_cast<std::byte>(bits() & 255U);
                    switch (uniform_upto(bits, 3)) {
                        case 0:
                            frame[at] = b;
                            break;
                        case 1:
                            frame.resize(at);
                            break;
                        case 2:
                            frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), b);
                            break;
                        default:
                            frame[at] ^= std::byte{128};
                            break;
                    }
                }
                mallory.raw(frame);
                w.run(5ms);
            }
            alice.type("still here");
            w.run(3s);
            CHECK(alice.online());
            CHECK(bob.online());
            CHECK(alice.document() == bob.document());
            CHECK(bob.has(typed(1, 0, "still here")));
            // What was taken of it can be loaded again.
            w.world.restart(w.server);
            alice.dial();
            bob.dial();
            w.run(1s);
            CHECK(alice.synced);
            CHECK(alice.document() == bob.document());
        },
        100);
}
