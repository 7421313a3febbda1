// SPDX-License-Identifier: MIT
// Goal: no edit of a Replica is lost without a report, and all devices are equal to the server
// after the faults end. Method: exploration. Devices and the server crash during a sync, answers
// get lost, wall clocks are wrong, and the server's store is restored from a backup.
#include <belay/sync/replica.hpp>

#include <memory>
#include <string>

#include "support/sync/notes_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

bool replicas_of_one_server(sim::World& world) {
    NotesRun& run = world.make<NotesRun>(world);
    run.server = &world.host(
        "server", [&run](sim::Host& h) { return std::make_unique<NotesServer>(h, run); });
    for (std::size_t i = 0; i < run.copies.size(); ++i) {
        run.devices.push_back(&world.host("device " + std::to_string(i), [&run, i](sim::Host& h) {
            return std::make_unique<NotesDevice>(h, run, i);
        }));
    }
    for (const char* const mark :
         {"journal failed", "answer lost", "crash in a sync", "restored", "other store", "conflict",
          "overwrote", "replaced", "copied again", "edit kept", "tombstone forgotten",
          "restored store noticed by its epoch", "server restored by a device"}) {
        world.reachable(mark);
    }
    world.always("a loss is reported", [&run] { return run.wrong; });
    damage_store(run);
    for (const sim::Host* const device : run.devices) {
        fill_disk_at_times(world, std::string{device->name()}, 18'000);
    }
    const auto in_step = [&run] { return run.in_step().empty(); };
    world.run_for(20s);
    world.heal();
    if (!world.eventually("devices and server are in step, and no edit waits", 120s, in_step))
        return false;
    if (!world.require("no edit is silently lost", run.lost())) return false;
    for (sim::Host* const host : run.devices) {
        auto* const device = host->process<NotesDevice>();
        device->edit();
    }
    if (!world.run_until(in_step, 120s))
        return world.require("devices and server are in step, and no edit waits", run.in_step());
    return world.require("no edit is silently lost", run.lost());
}

}  // namespace

TEST_CASE("Replicas lose no edit and become equal after faults of network, disk and clocks",
          "[worlds][sync][sim][property]") {
    const auto options = world_options({.kills = 4,
                                        .one_way_partitions = 2,
                                        .disk_refusals = 2,
                                        .disk_errors = 3,
                                        .late_disk_errors = 3,
                                        .exhaustions = 2,
                                        .wall_clocks = 3,
                                        .within = 18s,
                                        .clock_wrong_max = 20s});
    CHECK(explored_as_wanted("sync", options, replicas_of_one_server));
}
