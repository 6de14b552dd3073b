# moved data folder on resume
import sys

sys.path.insert(0, "/tmp/h/e")
import numpy as np, os, shutil
from hybrid_search import run, Settings
from hybrid_search.space import load_space

rng = np.random.default_rng(0)
np.savez("/tmp/h/e/a.npz", x_train=rng.integers(0, 255, (60, 16, 16), dtype=np.uint8), y_train=np.arange(60) % 3)
for f in ("/tmp/h/e/mv.db",):
    if os.path.exists(f):
        os.remove(f)
sp = load_space("digits")


def go(path, trials):
    st = sp.settings.with_(data="npz", data_dir=path, epochs=1)
    s = run(sp, trials=trials, engine="local", settings=st, ledger="sqlite:////tmp/h/e/mv.db")
    print(s.progress().counts)


go("/tmp/h/e/a.npz", 2)
shutil.move("/tmp/h/e/a.npz", "/tmp/h/e/b.npz")
try:
    go("/tmp/h/e/b.npz", 8)
except Exception as e:
    print(type(e).__name__, str(e)[:300])
