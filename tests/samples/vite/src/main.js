document.querySelector('#here').textContent = `hello from vite, built for ${import.meta.env.VITE_PLACE ?? 'nowhere'}`;
