// SPDX-License-Identifier: MIT
/// \file belay/curl/detail/url.hpp
/// CurlUrl: the parts of a URL, parsed by libcurl.
#pragma once

#include <algorithm>    // std::min
#include <memory>       // std::unique_ptr
#include <new>          // std::bad_alloc
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <curl/curl.h>

#include <belay/http/detail/http_text.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A URL parsed by libcurl, so that checking a URL and sending its request interpret it in the same
/// way.
///
/// Thread safety: distinct objects safe.
/// Throws:        std::bad_alloc: if memory runs out, a URL is neither reported as bad nor as of
///                another origin.
class CurlUrl {
public:
    explicit CurlUrl(const std::string& text) : parsed_{curl_url()} {
        if (!parsed_) throw std::bad_alloc{};
        // Only for libcurl a NUL would end it early.
        valid_ = is_one_word(text) && has_authority(text) && set(text);
    }

    /// Whether it is an absolute URL of http or https without credentials.
    [[nodiscard]] bool is_http() const {
        if (!valid_) return false;
        const std::string scheme = part(CURLUPART_SCHEME);
        return is_same_name(scheme, "http") || is_same_name(scheme, "https");
    }
    /// Returns the port, which may be that of the scheme; 0 if the URL is not valid.
    [[nodiscard]] unsigned port() const {
        return valid_ ? detail::number_in(part(CURLUPART_PORT)).value_or(0) : 0;
    }
    /// Resolves a `Location` header against this URL.
    /// Returns: the absolute URL; empty if it is not valid, or of another scheme, host or port.
    [[nodiscard]] std::string within_origin(const std::string& location) {
        const std::string scheme = part(CURLUPART_SCHEME), host = part(CURLUPART_HOST),
                          port = part(CURLUPART_PORT);
        valid_ = valid_ && is_one_word(location) && set(location);
        const bool same = is_http() && is_same_name(scheme, part(CURLUPART_SCHEME)) &&
                          is_same_name(host, part(CURLUPART_HOST)) && port == part(CURLUPART_PORT);
        return same ? part(CURLUPART_URL) : std::string{};
    }

private:
    struct Free {
        void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
    };

    /// Whether a host follows two slashes. libcurl also takes one slash and three.
    [[nodiscard]] static bool has_authority(std::string_view text) noexcept {
        text.remove_prefix(std::min(text.find(':'), text.size()));
        return text.starts_with("://") && !text.starts_with(":///");
    }
    [[nodiscard]] static bool is_ok(CURLUcode code) {
        if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc{};
        return code == CURLUE_OK;
    }
    [[nodiscard]] bool set(const std::string& text) {
        return is_ok(curl_url_set(parsed_.get(), CURLUPART_URL, text.c_str(),
                                  CURLU_DISALLOW_USER | CURLU_PATH_AS_IS));
    }
    [[nodiscard]] std::string part(CURLUPart which) const {
        char* text = nullptr;
        // Returns the default port if the URL has none.
        const unsigned flags = which == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
        if (!is_ok(curl_url_get(parsed_.get(), which, &text, flags))) return {};
        struct Freed {
            char* text;
            ~Freed() { curl_free(text); }
        } const freed{text};
        return text;
    }

    std::unique_ptr<CURLU, Free> parsed_;
    bool valid_ = false;
};

}}}  // namespace belay::detail
