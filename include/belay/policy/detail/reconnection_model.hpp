// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/reconnection_model.hpp
/// ReconnectionModel: plays the clients of check::reconnection in virtual time.
#pragma once

#include <algorithm>  // std::max, std::max_element, std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/random.hpp>
#include <belay/policy/detail/stability_caller.hpp>
#include <belay/policy/detail/stability_model.hpp>
#include <belay/policy/reconnection_report.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the largest number whose square is at most `square`.   Complexity: O(log square).
[[nodiscard]] constexpr std::uint64_t root_of(std::uint64_t square) noexcept {
    std::uint64_t root = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit /= 2) {
        if ((root + bit) * (root + bit) <= square) root += bit;
    }
    return root;
}

/// Plays one run: all connections are lost at once, and the clients dial until they are connected.
template <class P>
class ReconnectionModel {
public:
    ReconnectionModel(const check::ReconnectionLoad& load, const std::vector<const P*>& policies)
        : return_{after(Instant{}, load.outage)},
          end_{after(return_, load.recovery)},
          draws_{Seed{mix64(load.seed.value ^ 0xD1A1)}} {
        report_.load = load;
        report_.back_after = forever;
        report_.dials_by_second.resize(static_cast<std::size_t>(second_of(end_)));
        clients_.reserve(load.clients);
        for (std::uint32_t i = 0; i < load.clients; ++i) {
            clients_.push_back(
                Client{StabilityCaller<P>{*policies[i % policies.size()], Instant{}}});
        }
    }

    [[nodiscard]] check::ReconnectionReport play() {
        for (std::uint32_t i = 0; i < clients_.size(); ++i) {
            Turn turn{Instant{}, draws_};
            follow(i, clients_[i].caller.lost(turn), turn);
        }
        while (events_.due(end_) && !report_.ended_early) {
            const StabilityEvents::Event event = events_.pop();
            Turn turn{event.at, draws_};
            handle(event.index(), turn);
        }
        finish();
        return std::move(report_);
    }

private:
    struct Client {
        StabilityCaller<P> caller;
        bool dialling = false;
        bool over = false;  // connected, or it gave up
    };

    void handle(std::uint32_t index, Turn& turn) {
        Client& client = clients_[index];
        if (!client.dialling) return follow(index, StabilityStep::wait, turn);
        client.dialling = false;
        if (turn.now < after(return_, report_.load.latency)) {
            return follow(index, client.caller.ended(report_.load.outage_cause, turn), turn);
        }
        static_cast<void>(client.caller.ended(Cause::none, turn));
        close(client);
        if (++connected_ * 100 >= clients_.size() * 99 && report_.back_after == forever) {
            report_.back_after = elapsed(return_, turn.now);
        }
    }
    // `wait`: the client asks its policy.
    void follow(std::uint32_t index, StabilityStep step, Turn& turn) {
        Client& client = clients_[index];
        if (step == StabilityStep::wait) step = client.caller.next(turn);
        if (step == StabilityStep::finished) {
            ++report_.gave_up;
            return close(client);
        }
        if (step == StabilityStep::wait) return push(client.caller.until(), index);
        client.dialling = true;
        ++report_.dials;
        const auto second = static_cast<std::size_t>(second_of(turn.now));
        const std::uint64_t most = std::uint64_t{report_.load.clients} * 100;
        if (++report_.dials_by_second[second] >= most) report_.ended_early = true;
        push(after(turn.now, report_.load.latency), index);
    }
    void close(Client& client) noexcept {
        client.over = true;
        report_.longest_wait = std::max(report_.longest_wait, client.caller.longest_wait());
    }
    void push(Instant at, std::uint32_t index) {
        if (at < end_) events_.push(at, index);
    }

    void finish() {
        for (Client& client : clients_) {
            if (client.over) continue;
            Turn turn{end_, draws_};
            client.caller.abandon(turn);
            close(client);
        }
        if (report_.ended_early) report_.back_after = forever;
        const std::int64_t from =
            std::min(second_of(after(Instant{}, report_.longest_wait)) + 1, second_of(end_));
        report_.first_peak = peak(0, second_of(return_));
        report_.later_peak = peak(from, second_of(end_));
        report_.return_peak = peak(second_of(return_), second_of(end_));
        // In tenths of a second, so that waits of less than a second count, too. Rounded up.
        const auto tenths = static_cast<std::uint64_t>(
            std::max<std::int64_t>(report_.longest_wait / std::chrono::milliseconds{100}, 1));
        const std::uint64_t mean = (std::uint64_t{report_.load.clients} * 20 + tenths - 1) / tenths;
        report_.later_peak_max = mean + 5 * root_of(mean);
    }
    [[nodiscard]] std::uint64_t peak(std::int64_t from, std::int64_t to) const noexcept {
        const auto first = report_.dials_by_second.begin();
        return from < to ? *std::max_element(first + from, first + to) : 0;
    }

    const Instant return_;
    const Instant end_;
    Random draws_;
    check::ReconnectionReport report_{};
    StabilityEvents events_;
    std::vector<Client> clients_;
    std::uint64_t connected_ = 0;
};

}}}  // namespace belay::detail
