// SPDX-License-Identifier: MIT
// Goal: no crash loses a durable operation. Method: workloads on a simulated disk, cut at every
// operation, with unflushed data kept, lost and torn; the states are counted.
#include <belay/journal/journal.hpp>
#include <belay/journal/journal_inspect.hpp>

#include <belay/sim/crash_points.hpp>

#include <cstdio>
#include <memory>
#include <set>
#include <unordered_set>

#include "support/journal/journal_model.hpp"
#include "support/journal/watched_disk.hpp"
#include "support/seeds.hpp"
#include "support/sim/power_lost_at_end.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using Call = JournalModel::Call;

/// A place in a script at which the power or the process fails.
struct Cut {
    std::uint64_t seed;
    const JournalScript& script;
    std::uint64_t halt;
};

/// The disk and the model after a script that was cut short.
struct CrashImage {
    explicit CrashImage(const Cut& cut) : model{disk, cut.seed} {
        disk.halt_at(cut.halt);
        run_script(model, cut.script);
    }
    /// The power returns. `seed` selects which unflushed bytes are kept, lost and torn.
    void crash(std::uint64_t seed) {
        Random bits{Seed{seed}};
        disk.crash(bits);
    }
    /// The process has died, and only its memory is lost.
    void kill() {
        disk.kill();
        model.drop_process();
    }

    sim::Disk disk;
    JournalModel model;
};

/// The scripts that are cut, and the places: each `stride`th of their operations. For a whole
/// script, also up to `beyond` operations after its last.
struct Cuts {
    std::uint64_t first_seed;
    std::uint64_t scripts;
    std::size_t calls = 40;
    std::size_t calls_of_every_fourth = calls;
    std::uint64_t stride = 1;
    std::uint64_t beyond = 0;
};
template <class Try>
void cut_everywhere(const Cuts& cuts, Try&& attempt) {
    for (std::uint64_t seed = cuts.first_seed; seed < cuts.first_seed + cuts.scripts; ++seed) {
        const JournalScript script =
            make_script(seed, seed % 4 == 0 ? cuts.calls_of_every_fourth : cuts.calls);
        const std::uint64_t operations = CrashImage{{seed, script, 0}}.disk.operations();
        for (std::uint64_t halt = 1; halt <= operations + cuts.beyond; halt += cuts.stride) {
            attempt(Cut{seed, script, halt});
        }
    }
}

/// `detail` names the attempt on a cut.
void require_good(bool good, const Cut& cut, const JournalModel& model,
                  const std::string& detail = "") {
    INFO("script " << cut.seed << ", operation " << cut.halt << detail << ": " << model.message());
    REQUIRE(good);
}

/// Plays every loss of power of a body that returns a pointer to its model. `is_right(disk, model)`
/// checks the disk after it.
template <class Body, class IsRight>
sim::CrashPointsReport require_every_loss(Body body, IsRight is_right,
                                          const sim::CrashPointsOptions& options,
                                          const std::string& detail) {
    std::string message;
    const auto report = sim::crash_points(
        std::move(body),
        [&](sim::Disk& disk, const std::unique_ptr<JournalModel>& model) {
            const bool good = is_right(disk, *model);
            if (!good && message.empty()) message = model->message();
            return good;
        },
        options);
    INFO(detail << ", " << report.failure << ": " << message);
    REQUIRE(report);
    return report;
}

/// A number for a crash state: the script, the promises of its calls when the power failed, and the
/// bytes of the disk after it. The place of the cut counts only through these.
std::uint64_t state_of(std::uint64_t seed, const JournalModel& model, const sim::Disk& disk) {
    std::uint64_t sum = detail::mix64(seed ^ model.promised());
    for (const auto& [path, bytes] : disk.image()) {
        sum = detail::mix64(sum ^ part::crc32c(as_bytes(path)));
        sum = detail::mix64(sum ^ (std::uint64_t{part::crc32c(bytes)} << 32 | bytes.size()));
    }
    return sum;
}

/// The number of scripts that a test runs: all of them, except in short test runs.
std::uint64_t share(std::uint64_t scripts) {
    const std::uint64_t seeds =
        std::min<std::uint64_t>(from_environment("BELAY_SEEDS", 2000), 2000);
    return std::max<std::uint64_t>(1, scripts * seeds / 2000);
}

std::size_t segment_files(const sim::Disk& disk) {
    std::size_t count = 0;
    const auto names = disk.list("q");
    REQUIRE(names);
    for (const std::string& name : *names) {
        count += journal_format::segment_index(name) != 0 ? 1U : 0U;
    }
    return count;
}

JournalOptions verify_all(std::uint64_t seed) {
    JournalOptions options = small_journal(seed);
    options.verify = Verify::everything;
    return options;
}

/// The journal after a crash must be the same when it is opened again, with every byte verified,
/// and must accept further calls.
bool goes_on(JournalModel& model) {
    const std::uint64_t base = model.journal().base();
    const std::uint64_t last = model.journal().last();
    model.drop_process();
    model.options.verify = Verify::everything;
    if (!model.recover()) return false;
    if (model.journal().base() != base || model.journal().last() != last) return false;
    if (model.journal().report().truncated_bytes != 0) return false;
    for (int i = 0; i < 3; ++i) {
        if (!model.call(Call::append, 0)) return false;
    }
    if (!model.call(Call::flush, 0)) return false;
    model.drop_process();
    model.options.verify = Verify::tail;
    return model.recover() && model.journal().last() == last + 3;
}

}  // namespace

TEST_CASE("Journal survives a loss of power at every operation of a workload",
          "[journal][journal][fault]") {
    const std::uint64_t scripts = share(540);
    std::unordered_set<std::uint64_t> states;
    for (std::uint64_t seed = 1; seed <= scripts; ++seed) {
        // Some scripts are long, and make and delete several segments.
        const JournalScript script = make_script(seed, seed % 4 == 0 ? 90 : 40);
        require_every_loss(
            [&](sim::Disk& disk) {
                auto model = std::make_unique<JournalModel>(disk, seed);
                run_script(*model, script);
                return model;
            },
            // States repeat at later operations. The allowed results only grow with the operations,
            // so that one check of each state is enough.
            [&](sim::Disk& disk, JournalModel& model) {
                if (!states.insert(state_of(seed, model, disk)).second) return true;
                model.drop_process();
                return model.recover() && goes_on(model);
            },
            {.drawn_max = 64, .repeats_max = 4, .enumerated_max = 4, .seed = Seed{seed * 1000}},
            "script " + std::to_string(seed));
    }
    std::printf("Journal, a loss of power at every operation: %zu states of %llu scripts\n",
                states.size(), static_cast<unsigned long long>(scripts));
    // Single scripts differ much.
    CHECK(states.size() >= 120 * scripts);
    if (scripts == 540) CHECK(states.size() >= 100'000);
}

TEST_CASE("Journal survives a loss of power while it recovers from an earlier one",
          "[journal][journal][fault]") {
    const Cuts cuts{.first_seed = 1000, .scripts = share(12), .stride = 3};
    cut_everywhere(cuts, [](const Cut& cut) {
        // An opening takes fewer than 16 operations.
        for (std::uint64_t second = 1; second < 16; ++second) {
            CrashImage image{cut};
            auto& [disk, model] = image;
            Random bits{Seed{cut.halt * 100 + second}};
            disk.crash(bits);
            model.drop_process();
            disk.halt_at(disk.operations() + second);
            const bool whole_opening = model.open();
            if (whole_opening) model.drop_process();
            disk.crash(bits);
            const bool good = model.recover() && goes_on(model);
            require_good(good, cut, model, ", then " + std::to_string(second));
        }
    });
}

TEST_CASE("Journal survives the death of its process at every operation of a workload",
          "[journal][journal][fault]") {
    const Cuts cuts{.first_seed = 2000, .scripts = share(60), .calls = 60};
    cut_everywhere(cuts, [](const Cut& cut) {
        CrashImage image{cut};
        image.kill();
        const bool good = image.model.recover(false) && goes_on(image.model);
        require_good(good, cut, image.model);
    });
}

TEST_CASE("Journal::open makes durable the writes that a dead process had not flushed",
          "[journal][journal][regression]") {
    // The process dies at every operation, the next one opens the journal, and then the power
    // fails.
    const Cuts cuts{.first_seed = 3000, .scripts = share(20), .calls = 60};
    cut_everywhere(cuts, [](const Cut& cut) {
        for (std::uint64_t torn = 0; torn < 4; ++torn) {
            CrashImage image{cut};
            image.kill();
            const bool opened = image.model.recover(false);
            image.crash(cut.seed * 1000 + torn);
            image.model.drop_process();
            const bool good = opened && image.model.recover() && goes_on(image.model);
            require_good(good, cut, image.model, ", torn " + std::to_string(torn));
        }
    });
}

TEST_CASE("Journal opens the same after a crash in each mode of Verify",
          "[journal][journal][property]") {
    const Cuts cuts{
        .first_seed = 4000, .scripts = share(60), .calls = 80, .stride = 2, .beyond = 1};
    cut_everywhere(cuts, [](const Cut& cut) {
        CrashImage image{cut};
        if (cut.seed % 3 != 0) image.crash(cut.seed);
        image.kill();
        const sim::Disk::Image before = image.disk.image();
        JournalOptions options = image.model.options;
        Bytes observed[3];
        sim::Disk::Image after[3];
        for (const Verify verify : {Verify::tail, Verify::everything, Verify::skip_damage}) {
            const auto i = static_cast<std::size_t>(verify);
            sim::Disk copy;
            copy.restore(before);
            options.verify = verify;
            {
                auto journal = SimJournal::open(copy, "q", options);
                INFO("script " << cut.seed << ", operation " << cut.halt << ", way " << i);
                REQUIRE(journal);
                observed[i] = describe(*journal);
                after[i] = copy.image();
                for (int n = 0; n < 30; ++n) {
                    REQUIRE(journal->append(body_of(journal->last() + 1, journal->salt())));
                }
                REQUIRE_FALSE(journal->ack(journal->base() + 20));
                const Bytes used = describe(*journal);
                observed[i].insert(observed[i].end(), used.begin(), used.end());
            }
            for (const auto& [path, bytes] : copy.image()) after[i].emplace_back(path, bytes);
        }
        INFO("script " << cut.seed << ", operation " << cut.halt);
        for (const std::size_t other : {1U, 2U}) {
            REQUIRE(observed[0] == observed[other]);
            REQUIRE(after[0] == after[other]);
        }
    });
}

TEST_CASE("Journal's run number grows over losses of power in successive openings",
          "[journal][journal][fault]") {
    // Two places are written in turn. Each opening is cut at each operation, or killed, many times
    // in a row, and the unflushed bytes are torn.
    const std::uint64_t rounds = share(4000);
    std::uint64_t torn = 0, opened = 0;
    for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
        Random bits{Seed{seed}};
        sim::Disk disk;
        std::uint32_t run = 0;
        std::uint64_t last = 0;
        for (int i = 0; i < 24; ++i) {
            // An opening takes at most seven operations.
            disk.halt_at(bits() % 2 == 0 ? disk.operations() + 1 + bits() % 7 : 0);
            const auto looked = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
            auto journal = SimJournal::open(disk, "q", small_journal(seed));
            INFO("seed " << seed << ", opening " << i << ", run " << run);
            if (looked) {
                REQUIRE(looked->is_whole());
                if (journal) REQUIRE(looked->run + 1 == journal->run());
                if (journal) {
                    REQUIRE(looked->unfinished_bytes == journal->report().truncated_bytes);
                }
            }
            if (journal) {
                ++opened;
                REQUIRE(journal->run() > run);
                REQUIRE(journal->last() >= last);
                run = journal->run();
                torn += journal->report().truncated_bytes != 0 ? 1U : 0U;
                // In some rounds an operation is written in between.
                if (bits() % 8 == 0) {
                    const auto number = journal->append(as_bytes("an operation"));
                    if (number && !journal->commit()) last = *number;
                }
            } else {
                REQUIRE(journal.error().code == std::errc::io_error);
            }
            bits() % 2 == 0 ? disk.kill() : disk.crash(bits);
        }
        const auto journal = SimJournal::open(disk, "q", verify_all(seed));
        INFO("seed " << seed << ": " << (journal ? "" : journal.error().message()));
        REQUIRE(journal);
        REQUIRE(journal->run() > run);
    }
    CHECK(torn > rounds / 8);
    CHECK(opened > rounds * 4);
}

TEST_CASE("Journal survives a loss of power while it deletes segments",
          "[journal][journal][fault]") {
    // One acknowledgement releases several segments. Each deletion is cut, and the names that are
    // not durable are kept or lost in every combination.
    const auto fill = [](JournalModel& model) {
        REQUIRE(model.call(Call::keep, 77));
        for (int i = 0; i < 900; ++i) REQUIRE(model.call(Call::append, 0));
        REQUIRE(model.call(Call::flush, 0));
    };
    std::uint64_t filled = 0, gaps = 0;
    std::set<std::uint64_t> failed;
    {
        sim::Disk disk;
        JournalModel model{disk, 1};
        fill(model);
        filled = disk.operations();
    }
    const auto report = require_every_loss(
        [&](sim::Disk& disk) {
            auto model = std::make_unique<JournalModel>(disk, 1);
            fill(*model);
            const std::uint64_t all = model->journal().size();
            const bool whole = model->call(Call::ack, all) && model->call(Call::commit, 0);
            if (!whole) failed.insert(disk.operations());
            return model;
        },
        [&](sim::Disk& disk, JournalModel& model) {
            model.drop_process();
            const auto looked = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
            if (!looked || !looked->is_whole()) return false;
            const std::uint64_t spread =
                looked->segments.back().index - looked->segments.front().index + 1;
            gaps += spread != looked->segments.size() ? 1U : 0U;
            if (!model.recover()) return false;
            // The files below the base were deleted.
            return (model.journal().base() == 1 || segment_files(disk) == 1) && goes_on(model);
        },
        {.drawn_max = 20,
         .repeats_max = 4,
         .enumerated_max = 20,
         .seed = Seed{0},
         .first_operation = filled + 1},
        "deletions");
    std::printf("Journal, a loss of power while it deletes segments: %llu states\n",
                static_cast<unsigned long long>(report.states));
    // A commit that cannot delete a file returns no error because of that.
    CHECK(report.operations == filled + 36);
    CHECK(failed.size() == 19);
    CHECK(report.states >= 532);
    CHECK(gaps > 100);
}

TEST_CASE("Journal deletes sixteen files in a call, by one flush of the directory",
          "[journal][journal][regression]") {
    WatchedDisk disk;
    std::uint64_t flushes = 0;
    disk.on_sync_directory = [&](const std::string&) { ++flushes; };
    const auto open = [&] { return Journal<WatchedDisk>::open(disk, "q", small_journal(1)); };
    {
        auto journal = open();
        REQUIRE(journal);
        while (segment_files(disk) < 100) REQUIRE(journal->append(Bytes(500)));
        REQUIRE_FALSE(journal->commit());
        const std::uint64_t bytes = journal->bytes();
        flushes = 0;
        CHECK_FALSE(journal->ack(journal->last()));
        CHECK(segment_files(disk) == 84);
        CHECK(flushes == 1);
        CHECK(journal->bytes() < bytes);
        CHECK(journal->bytes() > bytes / 2);
        CHECK(journal->base() == journal->last() + 1);
        CHECK(journal->acked_durable() == journal->last());
        CHECK_FALSE(journal->commit());
        CHECK(segment_files(disk) == 68);
        CHECK_FALSE(journal->ack(journal->last()));
        CHECK(segment_files(disk) == 52);
        CHECK(flushes == 3);
        // A new file is one more, and sixteen are deleted.
        while (segment_files(disk) == 52) REQUIRE(journal->append(Bytes(500)));
        CHECK(segment_files(disk) == 37);
        CHECK(journal->read(journal->base()));
        CHECK(journal->check(journal->base() - 1));
        disk.kill();
    }
    auto journal = open();
    REQUIRE(journal);
    CHECK(segment_files(disk) == 2);
    CHECK(journal->read(journal->base()));
}

TEST_CASE("Journal keeps its directory through a loss of power from its first commit on",
          "[journal][journal][fault]") {
    // The process that makes the directory may die at any operation, and another one continues.
    int interrupted = 0;
    for (std::uint64_t halt = 0; halt < 12; ++halt) {
        const auto report = power_lost_at_end(
            [&](sim::Disk& disk) {
                if (halt != 0) {
                    disk.halt_at(halt);
                    interrupted += SimJournal::open(disk, "dir/q", small_journal(1)) ? 0 : 1;
                    disk.kill();
                }
                auto journal = SimJournal::open(disk, "dir/q", small_journal(2));
                REQUIRE(journal);
                REQUIRE(journal->append(as_bytes("first")));
                REQUIRE_FALSE(journal->commit());
                return std::move(*journal);
            },
            [](sim::Disk& disk, const SimJournal& before) {
                auto journal = SimJournal::open(disk, "dir/q", small_journal(3));
                return journal && journal->journal_id() == before.journal_id() &&
                       journal->last() == 1 && as_text(*journal->read(1)) == "first";
            },
            {.drawn_max = 20});
        INFO("the first process died at operation " << halt << ": " << report.failure);
        CHECK(report);
    }
    CHECK(interrupted > 0);
}
