// SPDX-License-Identifier: MIT
/// \file belay/openssl/jwt_verifier.hpp
/// jwt::Verifier: verifies JSON Web Tokens and returns their claims; needs OpenSSL 1.1.1 or
/// later. Link belay::openssl or -lcrypto.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant
#include <vector>       // std::vector

#include <belay/core/result.hpp>
#include <belay/openssl/detail/jwt_key.hpp>
#include <belay/openssl/detail/jwt_text.hpp>
#include <belay/openssl/jwt_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// The algorithm with which tokens are signed.
///
/// A verifier accepts one of them; the token cannot choose.
enum class Algorithm : std::uint8_t {
    hs256,  ///< a secret that the issuer and the verifier share
    rs256   ///< the issuer's RSA key; the verifier has its public half
};

/// The form of a token's `sub`.
enum class Subject : std::uint8_t {
    text,    ///< a string, not empty
    decimal  ///< a number from 0 to 2^63 - 1, also as a string, without a sign or leading zeros
};

/// A key by which tokens are verified.
///
/// Thread safety: a plain value.
struct Key {
    /// For HS256 the secret, with at least 32 bytes. For RS256 the public key as PEM, with at least
    /// 2048 bits.
    std::string material{};
    /// The `kid` of tokens that are signed with this key. A single key may have no id; then it is
    /// used for all tokens.
    std::string id{};
};

/// The conditions that a token must meet.
///
/// Thread safety: a plain value.
struct Options {
    /// The only algorithm that is accepted.
    Algorithm algorithm = Algorithm::hs256;
    Subject subject = Subject::text;
    /// The required `iss`; if empty, any `iss` is accepted.
    std::string issuer{};
    /// The audience that must be in `aud`; if empty, a token that has an `aud` is rejected.
    std::string audience{};
    /// How far the issuer's clock may be off, in both directions; 10 minutes at most.
    Duration leeway = std::chrono::seconds{30};
};

/// The claims of a valid token.
///
/// Thread safety: a plain value.
struct Claims {
    /// The user who owns the token.
    std::string subject{};
    /// When the token ends.
    WallTime expires{};
    /// All claims as a JSON object, as the token has it, for those that belay does not use.
    std::string json{};
};

/// Verifies JSON Web Tokens (RFC 7519), signed in the compact form (RFC 7515).
///
/// The algorithm is fixed. A token's `alg` is compared with it before a key is used, so `none` is
/// never accepted. The `kid` selects one of the given keys, and nothing else. A token must have
/// `exp` and `sub`. A token is rejected if it has `crit` or a name that appears twice, or if it is
/// longer than 4 KiB. So is one with padding, white space or another way to write the same token.
///
/// Thread safety: verify() from any thread; it changes nothing.
/// Source:        RFC 8725, "JSON Web Token Best Current Practices".
class Verifier {
public:
    /// Longer tokens are rejected unread.
    static constexpr std::size_t token_bytes_max = 4096;

    /// Makes a verifier of options and keys.
    ///
    /// Errors: bad_key, bad_options. Their message() states which key, what is wrong with it, and
    ///         what to do. It contains nothing secret.   Throws: std::bad_alloc.
    [[nodiscard]] static Result<Verifier, detail::JwtSetupError> make(Options options,
                                                                      std::vector<Key> keys) {
        if (options.leeway < Duration{} || options.leeway > std::chrono::minutes{10})
            return detail::JwtSetupError{Errc::bad_options, {}};
        if (keys.empty()) {
            return detail::JwtSetupError{
                Errc::bad_key,
                "there is no key: pass at least one jwt::Key to jwt::Verifier::make"};
        }
        Verifier out{std::move(options)};
        for (Key& key : keys) {
            std::string which = "key " + std::to_string(out.keys_.size() + 1) + " of " +
                                std::to_string(keys.size());
            if (!key.id.empty()) which += ", \"" + key.id + '"';
            const std::string wrong = out.add(std::move(key), keys.size() == 1);
            if (!wrong.empty()) return detail::JwtSetupError{Errc::bad_key, which + ": " + wrong};
        }
        return out;
    }

    /// Returns the claims of a token that is valid at this time.
    ///
    /// Errors: those of Errc.   Throws: std::bad_alloc.
    /// Complexity: O(size of the token), and one signature.
    [[nodiscard]] Result<Claims> verify(std::string_view token, WallTime now) const {
        if (token.empty()) return make_error_code(Errc::missing);
        const auto parts = detail::JwtParts::of(token);
        if (token.size() > token_bytes_max || !parts) return make_error_code(Errc::malformed);
        if (const auto error = check_signature(*parts)) return error;
        auto json = detail::from_base64url(parts->payload);
        const auto claims = json ? detail::JwtObject::parse(*json) : std::nullopt;
        if (!claims) return make_error_code(Errc::malformed);
        auto checked = check_claims(*claims, now);
        if (checked) checked->json = std::move(*json);
        return checked;
    }

    /// Returns how long a token that is valid now stays valid.
    [[nodiscard]] Duration valid_for(const Claims& claims, WallTime now) const noexcept {
        return claims.expires == WallTime::max() ? forever
                                                 : claims.expires - (now - options_.leeway);
    }

private:
    struct ParsedKey {
        std::string id;
        std::variant<detail::HmacKey, detail::RsaKey> material;
    };

    explicit Verifier(Options options) : options_{std::move(options)} {}

    /// Returns: what is wrong with the key, and what to do; empty if nothing is wrong.
    [[nodiscard]] std::string add(Key key, bool only) {
        if (key.id.empty() && !only)
            return "it has no id: if there are several keys, set jwt::Key::id to the 'kid' of the "
                   "tokens that it signs";
        if (find(key.id) != nullptr)
            return "another key has this id: give each key its own id, and sign with that id as "
                   "'kid'";
        std::string wrong;
        if (options_.algorithm == Algorithm::hs256) {
            wrong = detail::HmacKey::why_not(key.material);
            if (!wrong.empty()) return wrong;
            keys_.push_back({std::move(key.id), detail::HmacKey{std::move(key.material)}});
        } else {
            detail::RsaKey rsa = detail::RsaKey::read(key.material, wrong);
            if (!rsa) return wrong;
            keys_.push_back({std::move(key.id), std::move(rsa)});
        }
        return {};
    }
    [[nodiscard]] const ParsedKey* find(std::string_view id) const noexcept {
        for (const ParsedKey& key : keys_) {
            if (key.id == id) return &key;
        }
        return nullptr;
    }
    /// Returns the key that the header of a token names.
    [[nodiscard]] const ParsedKey* key_of(const detail::JwtObject& header) const {
        if (keys_.size() == 1 && keys_.front().id.empty()) return &keys_.front();
        const detail::JwtValue* const kid = header.find("kid");
        return kid != nullptr && kid->is_text() ? find(kid->text) : nullptr;
    }
    [[nodiscard]] std::error_code check_signature(const detail::JwtParts& parts) const {
        const auto text = detail::from_base64url(parts.header);
        const auto header = text ? detail::JwtObject::parse(*text) : std::nullopt;
        if (!header) return Errc::malformed;
        const detail::JwtValue* const algorithm = header->find("alg");
        const std::string_view wanted = options_.algorithm == Algorithm::hs256 ? "HS256" : "RS256";
        if (algorithm == nullptr || !algorithm->is_text() || algorithm->text != wanted)
            return Errc::wrong_algorithm;
        if (header->find("crit") != nullptr) return Errc::critical_extension;
        const ParsedKey* const key = key_of(*header);
        if (key == nullptr) return Errc::unknown_key;
        const auto signature = detail::from_base64url(parts.signature);
        if (!signature) return Errc::malformed;
        const detail::Signed what{parts.signed_part, *signature};
        switch (std::visit([&](const auto& one) { return one.verify(what); }, key->material)) {
            case detail::Verified::yes:
                return {};
            case detail::Verified::no:
                return Errc::bad_signature;
            case detail::Verified::failed:
                break;
        }
        return Errc::not_verified;
    }

    // ---- what a signed token claims ------------------------------------------------------------

    [[nodiscard]] Result<Claims> check_claims(const detail::JwtObject& claims, WallTime now) const {
        const detail::JwtValue* const exp = claims.find("exp");
        const auto expires = exp == nullptr ? std::nullopt : detail::jwt_time(*exp);
        if (!expires || now - options_.leeway >= *expires) {
            return make_error_code(Errc::expired);
        }
        if (const detail::JwtValue* const nbf = claims.find("nbf")) {
            const auto begins = detail::jwt_time(*nbf);
            if (!begins || now + options_.leeway < *begins) {
                return make_error_code(Errc::not_yet_valid);
            }
        }
        if (!options_.issuer.empty() && !is_text(claims.find("iss"), options_.issuer)) {
            return make_error_code(Errc::wrong_issuer);
        }
        if (!is_for_us(claims.find("aud"))) return make_error_code(Errc::wrong_audience);
        auto subject = subject_of(claims.find("sub"));
        if (subject.empty()) return make_error_code(Errc::bad_subject);
        return Claims{std::move(subject), *expires, {}};
    }
    [[nodiscard]] static bool is_text(const detail::JwtValue* value, const std::string& wanted) {
        return value != nullptr && value->is_text() && value->text == wanted;
    }
    [[nodiscard]] bool is_for_us(const detail::JwtValue* audience) const {
        if (audience == nullptr) return options_.audience.empty();
        if (options_.audience.empty()) return false;
        if (audience->kind != detail::JwtValue::Kind::array)
            return is_text(audience, options_.audience);
        bool found = false;
        for (const detail::JwtValue& one : audience->items) {
            if (!one.is_text()) return false;
            found = found || one.text == options_.audience;
        }
        return found;
    }
    /// Returns the subject; empty if it is not valid.
    [[nodiscard]] std::string subject_of(const detail::JwtValue* subject) const {
        const bool decimal = options_.subject == Subject::decimal;
        const bool is_usable =
            subject != nullptr && (subject->is_text() || (decimal && subject->is_number()));
        if (!is_usable) return {};
        const std::string& text = subject->text;
        // A NUL would end the text for other programs, which would take it for another subject.
        const bool right =
            decimal ? detail::is_strict_decimal(text) : text.find('\0') == std::string::npos;
        return right ? text : std::string{};
    }

    Options options_;
    std::vector<ParsedKey> keys_;
};

}}}  // namespace belay::jwt
