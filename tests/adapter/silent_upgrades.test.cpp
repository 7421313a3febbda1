// SPDX-License-Identifier: MIT
// Goal: a full listener closes the upgrade that matters least. Method: the order, against a model
// that counts.
#include <belay/adapter/detail/silent_upgrades.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using detail::IpAddress;

namespace {

struct WaitingUpgrade {
    IpAddress ip;
    detail::SilentUpgrades<WaitingUpgrade>::Place place{};
};
using Waiting = std::vector<std::unique_ptr<WaitingUpgrade>>;

void wait_from(detail::SilentUpgrades<WaitingUpgrade>& silent, Waiting& all,
               const std::string& ip) {
    all.push_back(std::make_unique<WaitingUpgrade>(WaitingUpgrade{*IpAddress::parse(ip)}));
    all.back()->place = silent.add(all.back()->ip, *all.back());
}

}  // namespace

TEST_CASE("SilentUpgrades finds the oldest of the address that has most, and no address with one",
          "[adapter][silent_upgrades][unit]") {
    detail::SilentUpgrades<WaitingUpgrade> silent;
    Waiting all;
    CHECK(silent.least_important() == nullptr);
    for (const char* const ip : {"192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "192.0.2.3"})
        wait_from(silent, all, ip);
    CHECK(silent.least_important() == nullptr);
    wait_from(silent, all, "2001:db8:0:1:ffff::2");  // of the same network
    CHECK(silent.least_important() == all[2].get());
    wait_from(silent, all, "192.0.2.1");
    wait_from(silent, all, "192.0.2.1");
    CHECK(silent.least_important() == all[0].get());
    silent.remove(all[0]->place);
    silent.remove(all[5]->place);
    CHECK(silent.least_important() == all[2].get());
    silent.remove(all[4]->place);
    CHECK(silent.least_important() == nullptr);
}

TEST_CASE("SilentUpgrades agrees with a count of all upgrades",
          "[adapter][silent_upgrades][property]") {
    CHECK(rc::check("any arrivals and departures", [](const std::vector<std::uint8_t>& steps) {
        detail::SilentUpgrades<WaitingUpgrade> silent;
        Waiting all;
        for (const std::uint8_t step : steps) {
            if (step >= 128 && !all.empty()) {
                const auto at = all.begin() + step % static_cast<std::ptrdiff_t>(all.size());
                silent.remove((*at)->place);
                all.erase(at);
            } else {
                wait_from(silent, all, "192.0.2." + std::to_string(step % 4));
            }
            std::map<IpAddress, std::size_t> counts;
            std::size_t most = 0;
            for (const auto& one : all) most = std::max(most, ++counts[one->ip]);
            const WaitingUpgrade* const least = silent.least_important();
            RC_ASSERT((least == nullptr) == (most < 2));
            if (least == nullptr) continue;
            RC_ASSERT(counts[least->ip] == most);
            const auto first = std::find_if(all.begin(), all.end(),
                                            [&](const auto& one) { return one->ip == least->ip; });
            RC_ASSERT(first->get() == least);
        }
    }));
}
