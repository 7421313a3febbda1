// SPDX-License-Identifier: MIT
/// \file outage/fault_injector.hpp
/// FaultInjector: starts server and client, and injects faults until all is delivered.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/core/machine_like.hpp>
#include <belay/core/random.hpp>
#include <belay/posix/loop.hpp>

#include "child.hpp"
#include "schedule.hpp"
#include "screen.hpp"

namespace outage {

/// The options of a FaultInjector.
struct FaultInjectorOptions {
    std::string dir;
    std::string file;
    std::uint64_t lines = 0;
    Rate rate = 0;
    std::uint64_t seed = 0;
    std::vector<Plan> plans;
    Counts done;    ///< in the runs that this one resumes
    Counts wanted;  ///< over all
    std::function<void(const Counts&)> on_fault;
};

/// Runs one server and one client, and kills, freezes and restarts them by the plans.
///
/// A plan is due when its number of lines is delivered and the client is connected. The fault
/// before it must be over, which means that the client has connected again. The client may read up
/// to the line of the plan after the next only, so that lines flow during each fault, and none
/// comes too late.
///
/// Models: belay::MachineLike; attaches itself to the loop, and stops it at the end.
class FaultInjector {
public:
    enum class End : std::uint8_t {
        running,
        delivered,    ///< as the client reports; the ledger decides
        interrupted,  ///< by stop()
        broken        ///< a part ended by itself, or nothing moved; see trouble()
    };

    FaultInjector(belay::posix::Loop<>& loop, Screen& screen, FaultInjectorOptions options);
    FaultInjector(const FaultInjector&) = delete;
    FaultInjector& operator=(const FaultInjector&) = delete;

    void attach(belay::Waker waker) { waker_ = std::move(waker); }
    [[nodiscard]] belay::Instant deadline() const noexcept;
    void advance(belay::Instant now);

    /// Ends server and client in good order; the second call is less patient.
    void stop();

    [[nodiscard]] End end() const noexcept { return end_; }
    /// The failure in words; empty if there was none.
    [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
    /// The exit code of the part that ended by itself; exit_wrong if it had none.
    [[nodiscard]] int trouble_code() const noexcept { return trouble_code_; }
    [[nodiscard]] const Counts& done() const noexcept { return view_.done; }
    [[nodiscard]] const Timeline& timeline() const noexcept { return timeline_; }

private:
    enum class Phase : std::uint8_t {
        starting,     ///< the first server comes up
        steady,       ///< waiting for the next plan
        server_down,  ///< killed, until due_
        freezing,     ///< stopped, and the client has not noticed yet
        frozen,       ///< the client has noticed; until due_
        client_down,  ///< killed, until due_
        recovering,   ///< everything was started; waiting for the client to connect
        ending        ///< both end
    };

    [[nodiscard]] bool plan_due() const noexcept;
    void start_server();
    void start_client();
    void inject(belay::Instant now);
    void undo(belay::Instant now);
    void allow_lines();
    void watch(belay::Instant now);
    void show(belay::Instant now);
    void conclude(End end);
    void give_up(const std::string& why, int code);

    void on_server(std::string_view report);
    void on_client(std::string_view report);
    void on_state(std::string_view words);
    void on_end(const char* who, int status);
    void event(const std::string& text);
    [[nodiscard]] belay::Duration pause(int least_ms, int most_ms);

    belay::posix::Loop<>& loop_;
    Screen& screen_;
    const FaultInjectorOptions options_;
    belay::Waker waker_;
    belay::Random bits_;
    View view_;
    Timeline timeline_;
    Phase phase_ = Phase::starting;
    End end_ = End::running;
    std::string trouble_;
    int trouble_code_ = 0;
    std::size_t next_plan_ = 0;
    std::uint64_t allowed_ = 0;
    std::uint16_t port_ = 0;
    belay::Instant due_ = belay::never;
    belay::Instant last_turn_;
    belay::Duration quiet_{};  ///< since the last report
    Child server_;
    Child client_;
};

}  // namespace outage
