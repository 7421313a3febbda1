// SPDX-License-Identifier: MIT
/// \file belay/room/detail/share_owner.hpp
/// share_owner: the key under which the shares of a user are counted.
#pragma once

#include <array>        // std::array
#include <cstddef>      // std::size_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The eight 16-bit groups of an IPv6 address, each in its shortest form.
///
/// An IPv4 address at the end is the whole of the seventh group; the eighth is empty then. Text
/// that is no address gives some groups, too.   Source: RFC 4291, section 2.2.
[[nodiscard]] inline std::array<std::string, 8> groups_of_address(std::string_view ip) {
    std::array<std::string, 8> groups;
    std::size_t count = 0;
    std::size_t gap = groups.size();  // the place of "::"
    const auto add = [&](std::string_view group) {
        while (group.size() > 1 && group.front() == '0') group.remove_prefix(1);
        if (count == groups.size()) return;
        std::string& text = groups[count++] = std::string{group};
        for (char& c : text) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        }
    };
    for (std::string_view rest = ip.substr(0, ip.find('%')); !rest.empty();) {
        if (gap == groups.size() && rest.substr(0, 2) == "::") {
            gap = count;
            rest.remove_prefix(2);
            continue;
        }
        if (rest.front() == ':') rest.remove_prefix(1);
        const std::string_view group = rest.substr(0, rest.find(':'));
        rest.remove_prefix(group.size());
        add(group);
        if (group.find('.') != std::string_view::npos) add({});
    }
    // The groups after "::" move to the end, and zeros take their places.
    const std::size_t zeros = groups.size() - count;
    for (std::size_t i = groups.size(); i-- > gap;)
        groups[i] = i >= gap + zeros ? groups[i - zeros] : "0";
    return groups;
}

/// Returns the part of an address that one subscriber has: an IPv4 address, or a 64-bit network of
/// IPv6. Other text without a colon is returned as it stands.
///
/// It calls no function of the system, because rooms need only the standard library.
/// Complexity: O(size of the text).
[[nodiscard]] inline std::string address_network(std::string_view ip) {
    if (ip.find(':') == std::string_view::npos) return std::string{ip};
    const std::array<std::string, 8> groups = groups_of_address(ip);
    bool mapped = groups[5] == "ffff";
    for (std::size_t i = 0; i < 5; ++i) mapped = mapped && groups[i] == "0";
    // An IPv4 address in its IPv6 form.
    if (mapped) return groups[6] + (groups[7].empty() ? "" : ":" + groups[7]);
    std::string network;
    for (std::size_t i = 0; i < 4; ++i) network += groups[i] + ":";
    return network;
}

/// Returns the key under which a user is counted: its name, or else the network of its address. It
/// is empty if there is neither.   Complexity: O(size of the texts).
[[nodiscard]] inline std::string share_owner(std::string_view user, std::string_view ip) {
    // A name that is an address is another owner than that address.
    if (!user.empty()) return "user " + std::string{user};
    return ip.empty() ? std::string{} : "ip " + address_network(ip);
}
/// Whether a key of `share_owner` is that of an address.
[[nodiscard]] inline bool is_address_owner(std::string_view owner) noexcept {
    return owner.substr(0, 3) == "ip ";
}
/// Returns the key of a user in one room. The length keeps the name of the user apart from the id
/// of the room.   Complexity: O(size of the texts).
[[nodiscard]] inline std::string owner_in_room(std::string_view owner, std::string_view room) {
    std::string key = std::to_string(owner.size());
    return key.append(1, ' ').append(owner).append(room);
}

/// In whose turns rooms are loaded for the server. No user has such a name, because share_owner
/// adds a prefix.
inline constexpr std::string_view owner_of_server_loads = "server";

}}}  // namespace belay::detail
