// SPDX-License-Identifier: MIT
#include "timeline.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace outage {

using belay::elapsed;

std::string_view to_string(Fault fault) {
    switch (fault) {
        case Fault::kill_server:
            return "server killed";
        case Fault::freeze_server:
            return "server frozen";
        case Fault::kill_client:
            return "client killed";
    }
    return "";
}

void Timeline::state(belay::Instant at, std::string_view name) {
    const bool connected = name == "connected";
    if (connected) {
        if (!outages_.empty() && outages_.back().to == belay::never) outages_.back().to = at;
        if (!timed_faults_.empty() && timed_faults_.back().undone <= at &&
            timed_faults_.back().recovered == belay::never) {
            timed_faults_.back().recovered = at;
        }
    } else if (was_connected_ && name != "stopped") {
        outages_.push_back({at});
    }
    was_connected_ = connected;
    states_.push_back({at, std::string{name}});
}

void Timeline::queue(belay::Instant at, std::uint64_t waiting, std::uint64_t acknowledged) {
    queue_.push_back({at, waiting, acknowledged});
}

belay::Duration Timeline::longest_outage(belay::Instant now) const {
    belay::Duration longest{};
    for (const Outage& o : outages_) {
        longest = std::max(longest, elapsed(o.from, std::min(o.to, now)));
    }
    return longest;
}

belay::Duration Timeline::recovery(double p) const {
    std::vector<belay::Duration> all;
    for (const TimedFault& b : timed_faults_) {
        if (b.recovered != belay::never) all.push_back(elapsed(b.undone, b.recovered));
    }
    if (all.empty()) return {};
    std::sort(all.begin(), all.end());
    const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(all.size())));
    return all[std::clamp<std::size_t>(rank, 1, all.size()) - 1];
}

std::string in_seconds(belay::Duration d) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f s", std::chrono::duration<double>(d).count());
    return text;
}

std::string counted(std::uint64_t n, std::string_view what) {
    return std::to_string(n) + " " + std::string{what} + (n == 1 ? "" : "s");
}

}  // namespace outage
