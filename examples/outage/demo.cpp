// SPDX-License-Identifier: MIT
#include "demo.hpp"

#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>

#include <belay/core/random.hpp>
#include <belay/queue/queue_errc.hpp>

#include "fault_injector.hpp"
#include "files.hpp"
#include "lines.hpp"
#include "rejection.hpp"
#include "run_state.hpp"
#include "signals.hpp"
#include "svg.hpp"
#include "verdict.hpp"

namespace outage {

using belay::elapsed;

namespace {

/// A run in its directory: new, or the one that was not finished.
class Run {
public:
    explicit Run(const DemoOptions& options) : options_{options}, lock_{lock(options.dir)} {
        const std::optional<RunState> last = RunState::load(options.dir);
        if (last && !last->finished) {
            resume(*last);
        } else {
            begin(last.has_value());
        }
    }

    [[nodiscard]] const Lines& lines() const noexcept { return *lines_; }
    [[nodiscard]] bool resumed() const noexcept { return resumed_; }
    [[nodiscard]] const Counts& done() const noexcept { return state_.done; }
    [[nodiscard]] std::uint64_t seed() const noexcept { return state_.seed; }
    [[nodiscard]] const std::string& file() const noexcept { return state_.file; }
    [[nodiscard]] std::string path(const char* name) const { return options_.dir + "/" + name; }

    void note(const Counts& done) {
        state_.done = done;
        state_.save(options_.dir);
    }
    void finish() {
        state_.finished = true;
        state_.save(options_.dir);
    }

private:
    static belay::posix::Files::Lock lock(const std::string& dir) {
        make_directories(dir);
        auto lock = files.lock(dir + "/run.lock");
        if (lock) return std::move(*lock);
        if (lock.error() == belay::QueueErrc::already_locked) {
            throw Rejection{"another demo runs in " + dir + "; end it, or choose another --dir"};
        }
        throw Rejection{trouble("lock", dir + "/run.lock", lock.error())};
    }

    void begin(bool after_a_finished_one) {
        if (!after_a_finished_one && exists(path("ledger.txt"))) {
            throw Rejection{
                path("ledger.txt") +
                " was not made by this demo, which would replace it; choose another --dir"};
        }
        state_.file = options_.file;
        if (state_.file.empty()) {
            state_.file = path("input.txt");
            if (const std::error_code e =
                    replace_file(state_.file, default_input(OUTAGE_HEADERS))) {
                throw Rejection{trouble("write", state_.file, e)};
            }
        }
        lines_ = std::make_unique<const Lines>(state_.file);
        state_.checksum = lines_->checksum();
        state_.seed = options_.seed.value_or(belay::entropy() % 1000000);
        clear();
        // An empty file is delivered before anything is started.
        state_.finished = lines_->count() == 0;
        state_.save(options_.dir);
    }

    void resume(const RunState& last) {
        state_ = last;
        if (!options_.file.empty()) state_.file = options_.file;
        lines_ = std::make_unique<const Lines>(state_.file);
        if (lines_->checksum() != state_.checksum) {
            throw Rejection{options_.dir + " holds an unfinished run of " + last.file + ", and " +
                            state_.file +
                            " has other lines; give that file with --file, choose "
                            "another --dir, or delete the directory to start again"};
        }
        if (options_.seed) state_.seed = *options_.seed;
        resumed_ = true;
    }

    /// Removes what the finished run before this one has left, and nothing else.
    void clear() {
        const std::string journal = path("journal");
        if (const auto names = files.list(journal)) {
            for (const std::string& name : *names) {
                if (name != "." && name != "..") remove(journal + "/" + name);
            }
        }
        for (const char* const name : {"ledger.txt", "sender.txt", "outage.svg"})
            remove(path(name));
    }
    static void remove(const std::string& path) {
        const std::error_code e = files.remove(path);
        if (e && e != std::errc::no_such_file_or_directory) {
            throw Rejection{trouble("remove", path, e)};
        }
    }

    const DemoOptions& options_;
    belay::posix::Files::Lock lock_;
    RunState state_;
    bool resumed_ = false;
    std::unique_ptr<const Lines> lines_;
};

std::string through(const Counts& c) {
    return "through " + counted(c.kills, "server kill") + ", " + counted(c.freezes, "freeze") +
           ", " + counted(c.client_kills, "client kill");
}

FaultInjectorOptions fault_injector_options(const DemoOptions& options, Run& run,
                                            std::uint64_t delivered) {
    FaultInjectorOptions v;
    v.dir = options.dir;
    v.file = run.file();
    v.lines = run.lines().count();
    v.rate = options.rate.value_or(static_cast<double>(v.lines) / 35);
    v.seed = run.seed();
    v.done = run.done();
    v.wanted = {options.kills, options.freezes, options.client_kills};
    const auto left = [](unsigned wanted, unsigned done) {
        return wanted - std::min(wanted, done);
    };
    if (delivered < v.lines) {
        v.plans = make_schedule(
            v.seed,
            {left(v.wanted.kills, v.done.kills), left(v.wanted.freezes, v.done.freezes),
             left(v.wanted.client_kills, v.done.client_kills)},
            delivered, v.lines);
    }
    v.on_fault = [&run](const Counts& done) { run.note(done); };
    return v;
}

/// How many lines of the input are in the ledger.
std::uint64_t delivered_lines(const Run& run) {
    if (!exists(run.path("ledger.txt"))) return 0;
    return run.lines().count() - compare(run.lines(), run.path("ledger.txt")).lost;
}

int report_end(const FaultInjector& injector, Run& run) {
    const Timeline& t = injector.timeline();
    const std::string ledger = run.path("ledger.txt"), picture = run.path("outage.svg");
    const Verdict v = compare(run.lines(), ledger);
    const bool good = v.good() && injector.end() == FaultInjector::End::delivered;
    const std::string words = v.words() + ", " + through(injector.done());
    const std::error_code not_drawn = replace_file(picture, draw_svg(t, words));

    if (!injector.trouble().empty()) std::cout << "trouble: " << injector.trouble() << "\n";
    std::cout << "verdict: " << (good ? "" : "WRONG: ") << words << "\n";
    for (const std::string& example : v.examples) std::cout << "         " << example << "\n";
    std::cout << "times:   " << in_seconds(elapsed(t.begin(), t.end())) << " in all; "
              << counted(t.outages().size(), "outage") << ", the longest "
              << in_seconds(t.longest_outage(t.end())) << "; recovery p50 "
              << in_seconds(t.recovery(0.5)) << ", p99 " << in_seconds(t.recovery(0.99)) << "\n"
              << "ledger:  " << ledger << "\n";
    if (not_drawn) {
        std::cerr << "outage: " << trouble("write", picture, not_drawn) << std::endl;
    } else {
        std::cout << "picture: " << picture << std::endl;
    }
    if (injector.end() == FaultInjector::End::broken) return injector.trouble_code();
    // The files of a failed run stay for inspection. The run is not resumed, because there is
    // nothing left to send.
    run.finish();
    return good ? exit_ok : exit_wrong;
}

}  // namespace

std::string default_directory() { return OUTAGE_DIR; }

int run_demo(const DemoOptions& options) {
    Run run{options};
    const std::uint64_t total = run.lines().count();
    if (total == 0) {
        std::cout << "verdict: 0 of 0 lines: " << run.file() << " is empty" << std::endl;
        return exit_ok;
    }
    const std::uint64_t delivered = delivered_lines(run);
    std::cout << (run.resumed() ? "resuming: " : "delivering: ") << run.file() << ", " << delivered
              << " of " << total << " lines delivered, seed " << run.seed() << ", in "
              << options.dir << std::endl;

    belay::posix::Loop<> loop;
    Screen screen;
    FaultInjector injector{loop, screen, fault_injector_options(options, run, delivered)};
    Signals signals{loop, {SIGINT, SIGTERM, SIGHUP}, [&](int) { injector.stop(); }};
    loop.run();
    screen.close();
    if (injector.end() == FaultInjector::End::interrupted) {
        std::cout << "interrupted: delivered lines stay delivered, and waiting lines are in the "
                     "journal; run the demo again to resume"
                  << std::endl;
        return exit_interrupted;
    }
    return report_end(injector, run);
}

}  // namespace outage
