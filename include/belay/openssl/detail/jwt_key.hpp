// SPDX-License-Identifier: MIT
/// \file belay/openssl/detail/jwt_key.hpp
/// HmacKey and RsaKey: verify signatures with OpenSSL.
#pragma once

#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

enum class Verified : unsigned char { yes, no, failed };

/// A signed text, and the signature that it comes with.
struct Signed {
    std::string_view text;
    std::string_view signature;

    [[nodiscard]] const unsigned char* bytes() const noexcept {
        return reinterpret_cast<const unsigned char*>(text.data());
    }
};

/// The secret of HS256. RFC 7518, section 3.2, requires at least the length of the hash.
class HmacKey {
public:
    static constexpr std::size_t least_bytes = 32;

    /// Returns what is wrong with a secret, and what to do; empty if nothing is.
    [[nodiscard]] static std::string why_not(std::string_view secret) {
        // The PEM text of another kind of key is not a secret.
        if (secret.find("-----BEGIN") != std::string_view::npos) {
            return "it is a PEM text and not a secret: choose jwt::Algorithm::rs256 for tokens "
                   "that are signed by RS256";
        }
        if (secret.size() >= least_bytes) return {};
        return "it has " + std::to_string(secret.size()) + " bytes, but HS256 needs at least " +
               std::to_string(least_bytes) +
               " bytes: generate a secret with 'openssl rand -base64 48', and use it here and "
               "where tokens are signed";
    }
    explicit HmacKey(std::string secret) : secret_{std::move(secret)} {}

    [[nodiscard]] Verified verify(const Signed& what) const noexcept {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        const bool done = HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
                               what.bytes(), what.text.size(), mac, &size) != nullptr;
        if (!done) return ERR_clear_error(), Verified::failed;
        // Compares in constant time, so that the time does not reveal how much of it is right.
        const bool same =
            what.signature.size() == size && CRYPTO_memcmp(mac, what.signature.data(), size) == 0;
        return same ? Verified::yes : Verified::no;
    }

private:
    std::string secret_;
};

/// The public key of RS256. RFC 7518, section 3.3, requires at least 2048 bits.
class RsaKey {
public:
    static constexpr int least_bits = 2048;
    static constexpr int most_bits = 16384;

    /// Reads `pem`, a public key that starts with "-----BEGIN PUBLIC KEY-----".
    /// Errors: an empty key, and `wrong` contains what is wrong and what to do.
    [[nodiscard]] static RsaKey read(const std::string& pem, std::string& wrong) {
        RsaKey out;
        const std::unique_ptr<BIO, int (*)(BIO*)> text{
            BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
        if (text) out.key_.reset(PEM_read_bio_PUBKEY(text.get(), nullptr, nullptr, nullptr));
        ERR_clear_error();  // TLS uses the error queue of the thread, too
        if (out.key_ && EVP_PKEY_base_id(out.key_.get()) != EVP_PKEY_RSA) out.key_.reset();
        if (!out.key_) {
            wrong =
                "it is not a public RSA key as PEM (-----BEGIN PUBLIC KEY-----): print one from a "
                "private key with 'openssl rsa -pubout'";
            return out;
        }
        const int bits = EVP_PKEY_bits(out.key_.get());
        if (bits >= least_bits && bits <= most_bits) return out;
        wrong = "it has " + std::to_string(bits) + " bits, but RS256 needs " +
                std::to_string(least_bits) + " to " + std::to_string(most_bits) +
                " bits: let the issuer sign with a new key, 'openssl genrsa 2048'";
        out.key_.reset();
        return out;
    }
    [[nodiscard]] explicit operator bool() const noexcept { return key_ != nullptr; }

    [[nodiscard]] Verified verify(const Signed& what) const noexcept {
        const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(),
                                                                         &EVP_MD_CTX_free};
        if (!context ||
            EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1) {
            return ERR_clear_error(), Verified::failed;
        }
        const int right = EVP_DigestVerify(
            context.get(), reinterpret_cast<const unsigned char*>(what.signature.data()),
            what.signature.size(), what.bytes(), what.text.size());
        ERR_clear_error();
        return right == 1 ? Verified::yes : Verified::no;
    }

private:
    struct Free {
        void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
    };
    std::unique_ptr<EVP_PKEY, Free> key_;
};

}}}  // namespace belay::detail
