// SPDX-License-Identifier: MIT
// Goal: a full listener closes the least important upgrade. Method: the order, compared with a
// model that counts.
#include <belay/beast/detail/ip_limiter.hpp>

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
          "[beast][silent_upgrades][unit]") {
    detail::SilentUpgrades<WaitingUpgrade> silent;
    Waiting all;
    CHECK(silent.least_important() == nullptr);
    for (const char* const ip : {"192.0.2.1", "198.51.100.2", "2001:db8:0:1::1", "203.0.113.3"})
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

TEST_CASE("SilentUpgrades counts networks if no address has two",
          "[beast][silent_upgrades][unit]") {
    detail::SilentUpgrades<WaitingUpgrade> silent;
    Waiting all;
    for (const char* const ip : {"192.0.2.1", "2001:db8:7:1::1", "2001:db8:8:1::1", "192.0.3.1"})
        wait_from(silent, all, ip);
    CHECK(silent.least_important() == nullptr);
    wait_from(silent, all, "192.0.2.2");
    CHECK(silent.least_important() == all[0].get());
    wait_from(silent, all, "2001:db8:7:2::1");
    wait_from(silent, all, "2001:db8:7:3::1");
    CHECK(silent.least_important() == all[1].get());
    // An address with two upgrades is first.
    wait_from(silent, all, "192.0.3.1");
    CHECK(silent.least_important() == all[3].get());
    silent.remove(all[7]->place);
    silent.remove(all[1]->place);
    silent.remove(all[0]->place);
    CHECK(silent.least_important() == all[5].get());
    silent.remove(all[5]->place);
    CHECK(silent.least_important() == nullptr);
}

TEST_CASE("SilentUpgrades agrees with a count of all upgrades",
          "[beast][silent_upgrades][property]") {
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
            RC_ASSERT((least == nullptr) == (all.size() < 2));
            if (least == nullptr) continue;
            if (most < 2) {
                // All addresses are of one network.
                RC_ASSERT(least == all.front().get());
                continue;
            }
            RC_ASSERT(counts[least->ip] == most);
            const auto first = std::find_if(all.begin(), all.end(),
                                            [&](const auto& one) { return one->ip == least->ip; });
            RC_ASSERT(first->get() == least);
        }
    }));
}

TEST_CASE("SilentUpgrades: 36 addresses with 30 silent upgrades each block none of 30 newcomers",
          "[beast][silent_upgrades][sim]") {
    // Peers dial again 10 ms after they are closed. The request of a newcomer takes 200 ms.
    constexpr std::size_t waiting_max = 1000;
    detail::SilentUpgrades<WaitingUpgrade> silent;
    std::map<const WaitingUpgrade*, std::unique_ptr<WaitingUpgrade>> waiting;
    std::multimap<int, IpAddress> dials;                   // by the millisecond
    std::multimap<int, const WaitingUpgrade*> requests{};  // by the millisecond
    const auto ip_of = [](const std::string& network, int host) {
        return *IpAddress::parse(network + std::to_string(host));
    };
    for (int i = 0; i < 36 * 30; ++i) dials.emplace(0, ip_of("192.0.2.", i / 30));
    for (int i = 0; i < 30; ++i) dials.emplace(1000 + 50 * i, ip_of("198.51.100.", i));
    const auto is_newcomer = [](const IpAddress& ip) { return ip.bytes[12] == 198; };
    const auto remove = [&](const WaitingUpgrade& one) {
        std::erase_if(requests, [&](const auto& request) { return request.second == &one; });
        silent.remove(one.place);
        waiting.erase(&one);
    };
    int admitted = 0;
    int given_up = 0;
    for (int ms = 0; ms < 3000; ++ms) {
        for (auto at = requests.find(ms); at != requests.end(); at = requests.find(ms)) {
            ++admitted;
            remove(*at->second);
        }
        for (auto dial = dials.extract(ms); !dial.empty(); dial = dials.extract(ms)) {
            if (waiting.size() == waiting_max) {
                const WaitingUpgrade* const least = silent.least_important();
                REQUIRE(least != nullptr);
                dials.emplace(ms + 10, least->ip);
                remove(*least);
                ++given_up;
            }
            auto one = std::make_unique<WaitingUpgrade>(WaitingUpgrade{dial.mapped()});
            one->place = silent.add(one->ip, *one);
            if (is_newcomer(one->ip)) requests.emplace(ms + 200, one.get());
            const WaitingUpgrade* const key = one.get();
            waiting.emplace(key, std::move(one));
        }
    }
    CHECK(admitted == 30);
    CHECK(given_up > 20'000);
}
