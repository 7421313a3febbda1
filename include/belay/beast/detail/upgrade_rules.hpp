// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/upgrade_rules.hpp
/// The checks of a WebSocket upgrade request: its origin, its key, the address of its client.
#pragma once

#include <algorithm>    // std::all_of, std::find, std::find_if
#include <array>        // std::array
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <arpa/inet.h>

#include <belay/core/assert.hpp>
#include <belay/http/detail/http_text.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The 16 bytes of an address; an IPv4 address in its IPv6-mapped form.
struct IpAddress {
    std::array<unsigned char, 16> bytes{};

    /// Errors: nothing if `text` is not an address. A zone (%eth0) is ignored.
    [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text) {
        const std::string plain{text.substr(0, text.find('%'))};
        IpAddress out;
        if (plain.find('\0') != std::string::npos) return std::nullopt;
        if (::inet_pton(AF_INET6, plain.c_str(), out.bytes.data()) == 1) return out;
        out = {};
        if (::inet_pton(AF_INET, plain.c_str(), &out.bytes[12]) != 1) return std::nullopt;
        out.bytes[10] = out.bytes[11] = 0xFF;
        return out;
    }
    [[nodiscard]] bool is_v4() const noexcept {
        for (std::size_t i = 0; i < 10; ++i) {
            if (bytes[i] != 0) return false;
        }
        return bytes[10] == 0xFF && bytes[11] == 0xFF;
    }
    /// Returns the part that one subscriber has: an IPv4 address, or a 64-bit network of IPv6.
    [[nodiscard]] IpAddress share() const noexcept {
        IpAddress out = *this;
        if (!is_v4())
            std::fill(out.bytes.begin() + 8, out.bytes.end(), static_cast<unsigned char>(0));
        return out;
    }
    /// Returns the network that one customer may have: 24 bits of IPv4, or 48 bits of IPv6.
    [[nodiscard]] IpAddress network() const noexcept {
        IpAddress out = *this;
        std::fill(out.bytes.begin() + (is_v4() ? 15 : 6), out.bytes.end(),
                  static_cast<unsigned char>(0));
        return out;
    }
    [[nodiscard]] std::string to_string() const {
        char text[INET6_ADDRSTRLEN] = {};
        if (is_v4()) {
            ::inet_ntop(AF_INET, &bytes[12], text, sizeof text);
        } else {
            ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
        }
        return text;
    }
    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

[[nodiscard]] inline std::string lowered(std::string_view text) {
    std::string out{text};
    for (char& c : out) c = lowered(c);
    return out;
}

/// The origin of a page (RFC 6454, section 6): its scheme, its host, and its port unless that is
/// the default.
class WebOrigin {
public:
    /// Errors: nothing if `text` is not an origin; "null" is not one.
    [[nodiscard]] static std::optional<WebOrigin> parse(std::string_view text) {
        const auto mark = text.find("://");
        if (mark == std::string_view::npos || mark == 0) return std::nullopt;
        WebOrigin out;
        out.scheme_ = lowered(text.substr(0, mark));
        out.host_ = out.without_port(text.substr(mark + 3));
        if (out.host_.empty() || out.host_.find_first_of("/?#@, \t") != std::string::npos) {
            return std::nullopt;
        }
        return out;
    }
    /// Whether a page of this origin comes from `host`, in the form of a request's Host header.
    [[nodiscard]] bool is_of(std::string_view host) const { return host_ == without_port(host); }

    friend bool operator==(const WebOrigin&, const WebOrigin&) = default;

private:
    /// Removes the default port of the scheme.
    [[nodiscard]] std::string without_port(std::string_view host) const {
        const bool is_secure = scheme_ == "https" || scheme_ == "wss";
        const std::string_view usual = is_secure ? ":443" : ":80";
        if (host.ends_with(usual)) host.remove_suffix(usual.size());
        return lowered(host);
    }

    std::string scheme_;
    std::string host_;
};

/// Whether a request with this origin to this host is admitted.
struct OriginCheck {
    std::string_view origin;
    std::string_view host;

    [[nodiscard]] bool passes(const std::vector<std::string>& allowed) const {
        const auto mine = WebOrigin::parse(origin);
        if (allowed.empty()) return mine && mine->is_of(host);
        for (const std::string& one : allowed) {
            if (one == "*" || (mine && WebOrigin::parse(one) == mine)) return true;
        }
        return false;
    }
};

/// Finds the address of the client that connects through a chain of proxies.
class ForwardedFor {
public:
    /// Errors: false if one of the addresses cannot be parsed.
    [[nodiscard]] bool trust(const std::vector<std::string>& proxies) {
        for (const std::string& text : proxies) {
            const auto address = IpAddress::parse(text);
            if (!address) return false;
            proxies_.push_back(*address);
        }
        return true;
    }
    [[nodiscard]] bool is_proxy(const IpAddress& address) const {
        return std::find(proxies_.begin(), proxies_.end(), address) != proxies_.end();
    }
    /// `list` is the X-Forwarded-For header, or all of them in order. Each proxy appends the
    /// address that it accepted the request from, so the last address that is not a proxy is the
    /// client. Anyone may have written the text before it.
    ///
    /// Returns: `peer` itself if a proxy sent nothing that can be parsed.
    [[nodiscard]] IpAddress client(const IpAddress& peer, std::string_view list) const {
        IpAddress seen = peer;
        while (is_proxy(seen) && !list.empty()) {
            const auto comma = list.rfind(',');
            const bool is_last = comma == std::string_view::npos;
            const auto next = address_of(trimmed(is_last ? list : list.substr(comma + 1)));
            if (!next) break;
            seen = *next;
            list = is_last ? std::string_view{} : list.substr(0, comma);
        }
        return seen;
    }

private:
    /// Parses an entry. Some proxies append a port, and put an IPv6 address in brackets (RFC 7239,
    /// section 6).
    [[nodiscard]] static std::optional<IpAddress> address_of(std::string_view node) {
        const auto end = node.find(']');
        if (node.starts_with('[') && end != std::string_view::npos) {
            const std::string_view port = node.substr(end + 1);
            return port.empty() || is_port(port) ? IpAddress::parse(node.substr(1, end - 1))
                                                 : std::nullopt;
        }
        const auto colon = node.find(':');
        const bool has_port = colon != std::string_view::npos && is_port(node.substr(colon)) &&
                              node.find('.') < colon;
        return IpAddress::parse(has_port ? node.substr(0, colon) : node);
    }
    [[nodiscard]] static bool is_port(std::string_view text) noexcept {
        const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
        return text.size() > 1 && text.size() <= 6 && text.front() == ':' &&
               std::all_of(text.begin() + 1, text.end(), is_digit);
    }

    std::vector<IpAddress> proxies_;
};

/// Whether `key` is 16 bytes in base64 (RFC 6455, section 4.1).
[[nodiscard]] constexpr bool is_websocket_key(std::string_view key) noexcept {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(digits) == 22;
}

/// Words separated by commas, as in headers.
struct WordList {
    std::string_view text;

    [[nodiscard]] bool has(std::string_view word) const noexcept {
        for (std::string_view rest = text;;) {
            const auto comma = rest.find(',');
            if (trimmed(rest.substr(0, comma)) == word) return true;
            if (comma == std::string_view::npos) return false;
            rest.remove_prefix(comma + 1);
        }
    }
};

}}}  // namespace belay::detail
