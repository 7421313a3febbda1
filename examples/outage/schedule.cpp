// SPDX-License-Identifier: MIT
#include "schedule.hpp"

#include <algorithm>
#include <cstddef>

#include <belay/core/random.hpp>

namespace outage {

std::vector<Plan> make_schedule(std::uint64_t seed, const Counts& counts, std::uint64_t from,
                                std::uint64_t total) {
    std::vector<Plan> plans;
    plans.insert(plans.end(), counts.kills, {Fault::kill_server, 0});
    plans.insert(plans.end(), counts.freezes, {Fault::freeze_server, 0});
    plans.insert(plans.end(), counts.client_kills, {Fault::kill_client, 0});
    belay::Random bits{belay::Seed{seed}};
    for (std::size_t i = plans.size(); i > 1; --i) {
        std::swap(plans[i - 1], plans[belay::uniform_upto(bits, i - 1)]);
    }
    // The last tenth is left for the last recovery.
    const double room = 0.9 * static_cast<double>(total - from);
    const double share = plans.empty() ? 0 : room / static_cast<double>(plans.size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
        const double place =
            0.3 + 0.6 * static_cast<double>(belay::uniform_upto(bits, 1000)) / 1000;
        const double line = static_cast<double>(from) + share * (static_cast<double>(i) + place);
        plans[i].at_line = std::min(static_cast<std::uint64_t>(line), total - 1);
    }
    return plans;
}

}  // namespace outage
