// SPDX-License-Identifier: MIT
// Goal: no edit is lost, blocked or sent for ever by a server that rejects, throws and changes
// while it is read, nor by hooks that edit. Method: random scripts over all of these. At the end,
// every text is visible, reported, kept or dropped, or was seen by the author who replaced it.
#include <belay/sync/replica.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A MemoryStore whose writes fail on command, for one element or for all.
struct StoreThatRefuses : Memory {
    using Memory::Memory;
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        if (const auto error = refusal(key.id)) return error;
        return Memory::add(key, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (const auto error = refusal(key.id)) return error;
        return Memory::update(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        if (const auto error = refusal(key.id)) return error;
        return Memory::remove(key, mark);
    }
    std::error_code refusal(std::string_view element) const {
        return refused == "*" || refused == element ? why : std::error_code{};
    }
    std::string refused{};
    std::error_code why{};
};

template <class Strategy>
struct RefusalWorld {
    using Processor =
        SyncProcessor<std::reference_wrapper<StoreThatRefuses>, Strategy, NoObserver, SharedWall>;
    struct Server {
        RefusalWorld& world;
        Result<SyncResult<Op>> send(std::span<const Op> batch) {
            if (world.fault()) return SyncErrc::unanswered;
            for (const Op& one : batch) world.sent.insert(one.id);
            auto result = world.processor.process_batch("s", batch);
            if (world.fault()) return SyncErrc::unanswered;
            return result;
        }
        Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
            if (world.fault()) return SyncErrc::unanswered;
            auto page = world.processor.store().changes_since("s", since, world.page_size);
            if (world.fault()) return SyncErrc::unanswered;
            if (world.concurrent && !std::exchange(world.inside, true)) {
                for (auto& other : world.devices) {
                    if (other.get() != world.syncing && world.any(3) == 0) {
                        Device<>* const outer = world.syncing;
                        world.edit(*other);
                        world.sync(*other);
                        world.syncing = outer;
                    }
                }
                world.inside = false;
            }
            if (world.no_list) {
                page = world.copy();
            }
            return page;
        }
    };
    part::ChangesPage<std::string> copy() {
        part::ChangesPage<std::string> page;
        page.begins_copy = true;
        store.for_each("s", [&](std::string_view id, const std::string& v, const Stamp& st) {
            page.changes.push_back({std::string{id}, st, v});
        });
        return page;
    }
    bool fault() {
        if (fault_in == 0 || --fault_in != 0) return false;
        if (throws) throw 1;
        return true;
    }
    explicit RefusalWorld(std::uint64_t seed, std::size_t count) : bits{Seed{seed}} {
        no_list = any(4) == 0;
        concurrent = any(2) == 0;
        may_throw = any(3) == 0;
        for (std::size_t i = 0; i < count; ++i) {
            const Duration wrong =
                any(4) == 0 ? Duration{1min} * (static_cast<int>(any(240)) - 120) : Duration{};
            devices.push_back(
                std::make_unique<Device<>>(seed * 10 + i + 1, SharedWall{&time, wrong},
                                           ReplicaOptions{.kept_max = any(4) == 0 ? 3U : 1000U,
                                                          .batch_operations = 1 + any(4)}));
        }
    }
    std::uint64_t any(std::uint64_t below) { return uniform_upto(bits, below - 1); }
    void edit(Device<>& device) {
        const std::string element{static_cast<char>('a' + any(4))};
        const std::string text = std::to_string(++texts);
        Operation<std::string>::Action action = RemoveElement{element};
        const bool removes = any(4) == 0;
        if (!removes) action = UpdateElement<std::string>{element, text};
        if (!removes && any(4) == 0) action = AddElement<std::string>{element, text};
        const auto before = device.view();
        const auto id = device.replica->edit(action);
        const auto at = before.find(element);
        if (at != before.end()) seen.insert(at->second);
        if (!id) return;
        if (!removes) durable[text] = *id;
    }
    void sync(Device<>& device) {
        syncing = &device;
        Server server{*this};
        const bool edits = any(4) == 0;
        const bool fails = may_throw && any(6) == 0;
        try {
            const auto report = device.replica->sync(server, [&](const auto& r) {
                if (edits) edit(device);
                if (fails) throw 1;
                read(r);
                unread.erase(&device);
            });
            static_cast<void>(report);
        } catch (int) {
            unread.insert(&device);
        }
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
        if (op.kind() != OperationKind::remove) reported.insert(op.value());
    }
    void step() {
        Device<>& device = *devices[any(devices.size())];
        time += 1ms * static_cast<int>(any(5'000));
        fault_in = any(3) == 0 ? 1 + any(8) : 0;
        throws = may_throw && any(2) == 0;
        page_size = 1 + any(3);
        device.store.fail_in = any(6) == 0 ? 1 + any(20) : 0;
        if (any(5) == 0) {
            constexpr SyncErrc whys[] = {SyncErrc::store_full,    SyncErrc::store_busy,
                                         SyncErrc::store_corrupt, SyncErrc::store_closed,
                                         SyncErrc::store_failed,  SyncErrc::unknown_session,
                                         SyncErrc::end_of_time,   SyncErrc::store_disagrees};
            store.refused = any(3) == 0 ? "*" : std::string{static_cast<char>('a' + any(4))};
            store.why = whys[any(8)];
        } else if (any(3) == 0) {
            store.refused.clear();
        }
        if (any(8) == 0) device.disk.halt_at(device.disk.operations() + 1 + any(12));
        if (any(10) == 0) {
            device.disk.fail_at(device.disk.operations() + 1 + any(4),
                                std::make_error_code(std::errc::no_space_on_device));
        }
        const std::uint64_t what = any(8);
        if (what < 3) {
            edit(device);
        } else if (what == 3) {
            const auto kept = device.replica->kept();
            if (!kept.empty()) {
                const Op& op = kept[any(kept.size())].operation;
                if (any(2) == 0) {
                    device.replica->send_again(op.id);
                } else {
                    note(op);
                    static_cast<void>(device.replica->drop(op.id));
                }
            }
        } else {
            sync(device);
        }
        device.store.fail_in = 0;
        if (device.journal->failed() || any(8) == 0) {
            const bool kills = !device.journal->failed() && any(2) == 0;
            if (kills) {
                device.disk.kill();
            } else {
                device.disk.crash(bits);
            }
            REQUIRE(device.start());
            lossy = lossy || unread.count(&device) != 0;
        }
    }
    using Contents = std::map<std::string, std::string>;
    void settle() {
        lossy = lossy || !unread.empty();
        fault_in = 0;
        store.refused.clear();
        concurrent = false;
        time += 5h;
        for (int round = 0; round < 4; ++round) {
            for (const auto& device : devices) {
                device->disk.crash(bits);
                REQUIRE(device->start());
                Server server{*this};
                const auto report = device->replica->sync(server, [&](const auto& r) { read(r); });
                INFO(report.error.message());
                REQUIRE_FALSE(report.error);
            }
        }
    }
    void verify() {
        Contents contents;
        store.for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            contents.emplace(std::string{id}, text);
        });
        for (const auto& device : devices) {
            for (const auto& one : device->replica->kept()) {
                UNSCOPED_INFO("kept: " << one.error.message() << " " << one.operation.element());
            }
            CHECK(device->replica->waiting() == 0);
            CHECK(device->view() == contents);
            CHECK(device->journal->size() == 0);
        }
        for (const auto& [element, text] : contents) reported.insert(text);
        if (lossy) return;
        for (const auto& [text, made] : durable) {
            INFO("text " << text);
            CHECK((sent.count(made) != 0 || reported.count(text) != 0));
            CHECK((reported.count(text) != 0 || seen.count(text) != 0));
        }
    }

    WallTime time{1h};
    StoreThatRefuses store{};
    Processor processor{
        std::ref(store), Strategy{}, {.transaction_operations = 2}, {}, SharedWall{&time}};
    Random bits;
    std::vector<std::unique_ptr<Device<>>> devices{};
    Device<>* syncing = nullptr;
    std::map<std::string, Id> durable{};
    std::set<std::string> seen{};
    std::set<std::string> reported{};
    std::set<Id> sent{};
    std::uint64_t texts = 0;
    std::set<Device<>*> unread{};
    bool lossy = false;
    std::uint64_t fault_in = 0;
    std::size_t page_size = 3;
    bool throws = false;
    bool may_throw = false;
    bool no_list = false;
    bool concurrent = false;
    bool inside = false;
};

template <class Strategy>
void play_rejections(std::uint64_t seeds) {
    std::uint64_t whole = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        INFO("seed " << seed);
        RefusalWorld<Strategy> world{seed, 2 + seed % 2};
        for (int i = 0; i < 60; ++i) world.step();
        world.settle();
        world.verify();
        whole += world.lossy ? 0 : 1;
    }
    CHECK(whole > seeds / 3);  // these had no crash before a report was read
}

}  // namespace

TEST_CASE("Replica accounts for every edit with a server that refuses and throws",
          "[sync][replica][sim]") {
    play_rejections<LastWriteWins>(histories(100));
    play_rejections<LocalWins>(histories(50));
    play_rejections<RemoteWins>(histories(50));
}
